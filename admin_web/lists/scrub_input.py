"""Input of a scrub, row by row: a sheet, one number per line, or one JSON object per line."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeAlias, cast

from pydantic_core import from_json

from admin_web.lists.columns import LEAD_NAMES, SAMPLE, NoColumn, named_column
from admin_web.lists.layout import Layout
from admin_web.lists.sheet import Sheet, SheetRow, nothing
from admin_web.lists.unread import Unread
from compliance.json_numbers import dialed_in
from compliance.numbers import E164, LEAD_ID, InvalidNumber, LeadId, common_form, lead_id, normalize

ScrubRow: TypeAlias = tuple[int, str, E164 | InvalidNumber, LeadId | None]
"""One row: its line (from 1), its text (only for a sheet), its number, and its lead, if any."""


class ScrubLayout(NamedTuple):
    """Layout of the rows of a sheet: delimiter, layout of the numbers, and the index of the lead."""

    delimiter: str | None
    numbers: Layout
    lead: int | None


def asked_of_lines(lines: Iterable[bytes], region: str) -> Iterator[ScrubRow]:
    """Read one number per line; skip blank lines."""
    for place, line in enumerate(lines, start=1):
        if text := line.decode("utf-8", "replace").strip():
            yield place, "", _number_of(text, region), None


def asked_of_json(lines: Iterable[bytes], region: str) -> Iterator[ScrubRow]:
    """Read one JSON object per line, `{"number": "…", "lead": "…"}`; the lead is optional."""
    for place, line in enumerate(lines, start=1):
        if line := line.strip():
            try:
                match from_json(line):
                    case {"number": number, "lead": str() as lead}:
                        yield place, "", _number_in_json(number, region), lead_id(lead)
                    case {"number": number}:
                        yield place, "", _number_in_json(number, region), None
                    case _:
                        yield place, "", InvalidNumber("malformed"), None
            except ValueError:
                yield place, "", InvalidNumber("malformed"), None


def asked_of_sheet(
    sheet: Sheet, region: str, column: str | None = None, tell: Callable[[str], None] | None = None
) -> Iterator[ScrubRow]:
    """Read the number column of a sheet, and its lead column if there is one. Raises NotASheet.

    At the end, `tell` is called with what was not read of the sheet, if anything.
    """
    sample = list(islice(sheet, SAMPLE))
    numbers = Layout.found(sample, (column,) if column else (), region)
    if len(numbers.columns) > 1:
        raise NoColumn("A scrub judges one number of each row: choose one column.")
    layout = ScrubLayout(sheet.delimiter, numbers, named_column(numbers.headings, LEAD_NAMES))
    unread, of_row = Unread(numbers), _row_reader(layout)
    yield from map(of_row, unread.watched(iter(sample[numbers.skipped :])))
    yield from sheet.read(_plain_reader(layout), of_row)
    if tell is not None and (said := unread.said()):
        tell(said)


def _row_reader(layout: ScrubLayout) -> Callable[[SheetRow], ScrubRow]:
    """Return a function that parses any row."""

    def read(row: SheetRow) -> ScrubRow:
        cells, place = row.cells or [], layout.lead
        lead = lead_id(cells[place]) if place is not None and len(cells) > place else None
        return row.line, row.text, _number_in(row, layout.numbers), lead

    return read


def _plain_reader(layout: ScrubLayout) -> Callable[[int, str], ScrubRow | None]:
    """Return a fast parser of the most common lines; it returns None for other lines.

    A common line has as many cells as the first row, no quotation mark, and a number that needs no real normalisation.
    The general parser gives the same result, but takes several times as long.
    """
    (column,) = layout.numbers.columns
    if column.places == (layout.lead,) or len(column.places) > 1 or not layout.numbers.width:
        return nothing
    whole = re.compile(_plain_line(layout, column.places[0])).fullmatch

    def read(line: int, text: str) -> ScrubRow | None:
        if (found := whole(text)) is None:
            return None
        row, national, lead = found.group("row", "national", "lead")
        return cast("ScrubRow", (line, row, f"+1{national}", lead or None))

    return read


def _plain_line(layout: ScrubLayout, number: int) -> str:
    delimiter = re.escape(layout.delimiter or "")
    cells = [rf'[^{delimiter}"\r\n]*+'] * layout.numbers.width
    cells[number] = f" *+{common_form(layout.numbers.region)} *+"
    if layout.lead is not None:
        cells[layout.lead] = f" *+(?P<lead>(?:{LEAD_ID.pattern})?) *+"
    no_lead = "(?P<lead>)" if layout.lead is None else ""
    return rf"(?P<row>{delimiter.join(cells)}){no_lead}(?:\r\n?|\n)?"


def _number_in(row: SheetRow, layout: Layout) -> E164 | InvalidNumber:
    if row.cells is None:
        return InvalidNumber("malformed")
    numbers, rejected = layout.read(row.cells)
    return InvalidNumber(rejected.reason) if rejected is not None else numbers[0]


def _number_in_json(value: object, region: str) -> E164 | InvalidNumber:
    try:
        return normalize(dialed_in(value), region)
    except InvalidNumber as error:
        return error


def _number_of(text: str, region: str) -> E164 | InvalidNumber:
    try:
        return normalize(text, region)
    except InvalidNumber as error:
        return error
