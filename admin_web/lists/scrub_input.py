"""Input of a scrub, row by row: a sheet, one number per line, or one JSON object per line."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeAlias, cast

from pydantic_core import from_json

from admin_web.lists.columns import LEAD_NAMES, SAMPLE, is_heading, named_column, number_column
from admin_web.lists.imports import RowRejected, is_number, read_number, without_heading
from admin_web.lists.sheet import Sheet, SheetRow, nothing
from compliance.numbers import E164, LEAD_ID, InvalidNumber, LeadId, common_form, lead_id, normalize

ScrubRow: TypeAlias = tuple[int, str, E164 | InvalidNumber, LeadId | None]
"""One row: its line (from 1), its text (only for a sheet), its number, and its lead, if any."""


class ScrubLayout(NamedTuple):
    """Layout of the rows of a sheet: delimiter, number of cells, and the indexes of number and lead."""

    delimiter: str | None
    width: int
    number: int
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
                    case {"number": str() as number, "lead": str() as lead}:
                        yield place, "", _number_of(number, region), lead_id(lead)
                    case {"number": str() as number}:
                        yield place, "", _number_of(number, region), None
                    case _:
                        yield place, "", InvalidNumber("malformed"), None
            except ValueError:
                yield place, "", InvalidNumber("malformed"), None


def asked_of_sheet(sheet: Sheet, region: str, column: str | None = None) -> Iterator[ScrubRow]:
    """Read the number column of a sheet, and its lead column if there is one. Raises NotASheet."""
    sample = list(islice(sheet, SAMPLE))
    first = next((row.cells for row in sample if row.cells), [])
    place = number_column(sample, column, lambda cell: is_number(cell, region))
    layout = ScrubLayout(sheet.delimiter, len(first), place, named_column(first, LEAD_NAMES))
    of_row = _row_reader(layout, region)
    yield from map(of_row, without_heading(iter(sample), lambda cells: len(cells) > place and is_heading(cells[place])))
    yield from sheet.read(_plain_reader(layout, region), of_row)


def _row_reader(layout: ScrubLayout, region: str) -> Callable[[SheetRow], ScrubRow]:
    """Return a function that parses any row."""

    def read(row: SheetRow) -> ScrubRow:
        cells, place = row.cells or [], layout.lead
        lead = lead_id(cells[place]) if place is not None and len(cells) > place else None
        return row.line, row.text, _number_in(row, layout, region), lead

    return read


def _plain_reader(layout: ScrubLayout, region: str) -> Callable[[int, str], ScrubRow | None]:
    """Return a fast parser of the most common lines; it returns None for other lines.

    A common line has as many cells as the first row, no quotation mark, and a number that needs no real normalisation.
    The general parser gives the same result, but takes several times as long.
    """
    if layout.number == layout.lead or not layout.width:
        return nothing
    whole = re.compile(_plain_line(layout, region)).fullmatch

    def read(line: int, text: str) -> ScrubRow | None:
        if (found := whole(text)) is None:
            return None
        row, national, lead = found.group("row", "national", "lead")
        return cast("ScrubRow", (line, row, f"+1{national}", lead or None))

    return read


def _plain_line(layout: ScrubLayout, region: str) -> str:
    delimiter = re.escape(layout.delimiter or "")
    cells = [rf'[^{delimiter}"\r\n]*+'] * layout.width
    cells[layout.number] = f" *+{common_form(region)} *+"
    if layout.lead is not None:
        cells[layout.lead] = f" *+(?P<lead>(?:{LEAD_ID.pattern})?) *+"
    no_lead = "(?P<lead>)" if layout.lead is None else ""
    return rf"(?P<row>{delimiter.join(cells)}){no_lead}(?:\r\n?|\n)?"


def _number_in(row: SheetRow, layout: ScrubLayout, region: str) -> E164 | InvalidNumber:
    if row.cells is None:
        return InvalidNumber("malformed")
    try:
        return read_number(row.cells, layout.number, layout.width, region)
    except RowRejected as rejected:
        return InvalidNumber(rejected.reason)


def _number_of(text: str, region: str) -> E164 | InvalidNumber:
    try:
        return normalize(text, region)
    except InvalidNumber as error:
        return error
