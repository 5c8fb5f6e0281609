"""Preview of an uploaded sheet: its format, its columns, and what an import would do with its first rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from admin_web.lists.columns import SAMPLE, NoColumn
from admin_web.lists.import_jobs import SheetImport
from admin_web.lists.layout import Layout, number_places, rows_above
from admin_web.lists.lead_import import LeadCells
from admin_web.lists.lift_import import layout_of_lifts
from admin_web.lists.number_import import NumberRows
from admin_web.lists.row_ends import EndsAsked, Listed, ends_not_read
from admin_web.lists.sheet import Sheet, SheetRow
from admin_web.lists.windows import MALFORMED
from admin_web.services.job_kinds import IMPORT_LEADS, LIFT_NUMBERS
from admin_web.services.leads import LeadGiven
from compliance.numbers import E164, visible

SHOWN = 10
MOST_COLUMNS = 50
LONGEST_CELL = 80


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One of the first rows: its cells and the result: numbers, the reason for a rejection, or both.

    `ends_at` is when the entries of the row end by themselves.
    If the import skips the row, `skipped` says what the row is.
    """

    line: int
    cells: Sequence[str]
    numbers: Sequence[str] = ()
    why_not: str = ""
    skipped: str = ""
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SheetPreview:
    """The recognised format, the headings of the columns, and the first rows.

    `chosen` has the positions, counted from 1, of the columns `number`, `lead`, `name` and `ends`; `number` may be
    several columns, as `--column` takes them. `numbers` are the columns that contain numbers. `not_read` says which
    columns are read together, joined or not read. `unread` is whether columns that contain numbers are not read.
    `problem` says why the import cannot start; empty when it can.
    """

    format: str
    headings: Sequence[str]
    rows: Sequence[PreviewRow]
    chosen: Mapping[str, str]
    problem: str = ""
    not_read: str = ""
    numbers: Sequence[int] = ()
    unread: bool = False

    @property
    def choices(self) -> Sequence[tuple[str, str]]:
        """The columns as choices of a form: position and label."""
        return number_choices(self.headings)

    @property
    def number_choices(self) -> Sequence[tuple[str, str]]:
        """The choices for the column of the numbers: each column, and all columns with numbers together."""
        return number_choices(self.headings, self.numbers, self.chosen.get("number", ""))


def number_choices(headings: Sequence[str], numbers: Sequence[int] = (), now: str = "") -> Sequence[tuple[str, str]]:
    """Return the choices for the column of the numbers: each column, all columns with numbers together, and `now`."""
    each = [(str(place), f"{place}: {heading}") for place, heading in enumerate(headings, start=1)]
    places = [str(place + 1) for place in numbers]
    several = [(",".join(places), f"{' and '.join(places)}: all that contain numbers")] if len(places) > 1 else []
    other = [(now, _label(now))] if now not in {*dict(each), *dict(several), ""} else []
    return [*each, *several, *other]


def preview(sheet: Sheet, asked: SheetImport, region: str, ends: EndsAsked) -> SheetPreview:
    """Read the first rows as the import would. `ends` is when the entries end. Raises NotASheet."""
    sample = list(islice(iter(sheet), SAMPLE))
    said = f"{sheet.shape.capitalize()}, about {asked.sheet.lines:,} lines"
    above = rows_above(sample, region)
    headings = next((row.cells for row in sample[above:] if row.cells), [])[:MOST_COLUMNS]
    if not headings:
        return SheetPreview(said, (), (), {}, "The file contains no readable rows.")
    numbers = number_places(sample, region)
    try:
        cells = _cells(sample, asked, region, ends)
    except NoColumn as error:
        rows = [PreviewRow(row.line, _shown(row)) for row in sample[:SHOWN]]
        return SheetPreview(said, headings, rows, asked.columns, error.fact, numbers=numbers)
    layout = cells if isinstance(cells, Layout) else cells.layout
    rows = [_seen(place, row, cells, layout) for place, row in enumerate(sample[:SHOWN])]
    no_ends = ends_not_read(layout, cells.ends) if isinstance(cells, NumberRows) else ""
    said_of = (layout.several(), layout.joined(), layout.not_read(layout.others), no_ends)
    not_read = " ".join(filter(None, said_of))
    return SheetPreview(
        said,
        layout.headings[:MOST_COLUMNS],
        rows,
        _chosen(cells, layout),
        not_read=not_read,
        numbers=numbers,
        unread=bool(layout.others or layout.split),
    )


def _label(spec: str) -> str:
    return f"{spec.replace('+', ' with ').replace(',', ' and ')}: joined" if "+" in spec else spec.replace(",", " and ")


def _cells(
    sample: Sequence[SheetRow], asked: SheetImport, region: str, ends: EndsAsked
) -> LeadCells | NumberRows | Layout:
    if asked.sheet.kind == IMPORT_LEADS.name:
        return LeadCells.found(sample, asked.lead_columns, region)
    if asked.sheet.kind == LIFT_NUMBERS.name:
        return layout_of_lifts(sample, asked.number_columns, region)
    return NumberRows.found(sample, asked.number_columns, region, ends)


def _chosen(cells: LeadCells | NumberRows | Layout, layout: Layout) -> dict[str, str]:
    places: dict[str, int | None] = {}
    if isinstance(cells, LeadCells):
        places = {"lead": cells.lead, "name": cells.name}
    elif isinstance(cells, NumberRows):
        places = {"ends": cells.ends.place}
    chosen = {what: str(place + 1) for what, place in places.items() if place is not None}
    return {"number": layout.spec, **chosen}


def _seen(place: int, row: SheetRow, cells: LeadCells | NumberRows | Layout, layout: Layout) -> PreviewRow:
    shown = _shown(row)
    if place < layout.skipped:
        return PreviewRow(row.line, shown, skipped="not read" if place < len(layout.above) else "headings")
    if row.cells is None:
        return PreviewRow(row.line, shown, why_not=str(MALFORMED))
    read, rejected = cells.read(row.cells)
    numbers = [number for one in read for number in _numbers_in(one)]
    ends_at = next((one.ends_at for one in read if isinstance(one, Listed)), None)
    return PreviewRow(row.line, shown, numbers, str(rejected or ""), ends_at=ends_at)


def _numbers_in(one: LeadGiven | Listed | E164) -> Sequence[str]:
    if isinstance(one, LeadGiven):
        return [number.number for number in one.all_numbers]
    return [one.number if isinstance(one, Listed) else one]


def _shown(row: SheetRow) -> list[str]:
    cells = map(visible, [row.text] if row.cells is None else row.cells[:MOST_COLUMNS])
    return [cell if len(cell) <= LONGEST_CELL else f"{cell[:LONGEST_CELL]}…" for cell in cells]
