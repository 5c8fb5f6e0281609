"""Preview of an uploaded sheet: its format, its columns, and what an import would do with its first rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from admin_web.lists.columns import SAMPLE, NoColumn
from admin_web.lists.import_jobs import SheetImport
from admin_web.lists.imports import RowRejected
from admin_web.lists.lead_import import LeadCells
from admin_web.lists.number_import import NumberCells
from admin_web.lists.sheet import Sheet, SheetRow
from admin_web.services.job_kinds import IMPORT_LEADS
from admin_web.services.leads import LeadGiven
from compliance.numbers import visible

SHOWN = 10
MOST_COLUMNS = 50
LONGEST_CELL = 80


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One of the first rows: its cells and the result, which is a number or the reason for a rejection."""

    line: int
    cells: Sequence[str]
    number: str = ""
    why_not: str = ""
    heading: bool = False


@dataclass(frozen=True, slots=True)
class SheetPreview:
    """The recognised format, the headings of the columns, and the first rows.

    `chosen` has the positions, counted from 1, of the columns `number`, `lead` and `name`. `problem` says why the
    import cannot start; empty when it can.
    """

    format: str
    headings: Sequence[str]
    rows: Sequence[PreviewRow]
    chosen: Mapping[str, str]
    problem: str = ""

    @property
    def choices(self) -> Sequence[tuple[str, str]]:
        """The columns as choices of a form: position and label."""
        return [(str(place), f"{place}: {heading}") for place, heading in enumerate(self.headings, start=1)]


def preview(sheet: Sheet, asked: SheetImport, region: str) -> SheetPreview:
    """Read the first rows as the import would. Raises NotASheet."""
    sample = list(islice(iter(sheet), SAMPLE))
    headings = next((row.cells for row in sample if row.cells), [])[:MOST_COLUMNS]
    said = f"{sheet.shape.capitalize()}, about {asked.sheet.lines:,} lines"
    if not headings:
        return SheetPreview(said, (), (), {}, "The file contains no readable rows.")
    try:
        cells = _cells(sample, asked, region)
    except NoColumn as error:
        rows = [PreviewRow(row.line, _shown(row)) for row in sample[:SHOWN]]
        return SheetPreview(said, headings, rows, asked.columns, error.fact)
    rows = [_seen(place, row, cells) for place, row in enumerate(sample[:SHOWN])]
    return SheetPreview(said, headings, rows, _chosen(cells))


def _cells(sample: Sequence[SheetRow], asked: SheetImport, region: str) -> LeadCells | NumberCells:
    if asked.sheet.kind == IMPORT_LEADS.name:
        return LeadCells.found(sample, asked.lead_columns, region)
    return NumberCells.found(sample, asked.columns.get("number"), region)


def _chosen(cells: LeadCells | NumberCells) -> dict[str, str]:
    places: dict[str, int | None] = {"number": cells.number}
    if isinstance(cells, LeadCells):
        places |= {"lead": cells.lead, "name": cells.name}
    return {what: str(place + 1) for what, place in places.items() if place is not None}


def _seen(place: int, row: SheetRow, cells: LeadCells | NumberCells) -> PreviewRow:
    shown = _shown(row)
    if row.cells is None:
        return PreviewRow(row.line, shown, why_not="the quotation marks do not match")
    if not place and cells.is_heading_row(row.cells):
        return PreviewRow(row.line, shown, heading=True)
    try:
        read = cells.read(row.cells)
    except RowRejected as rejected:
        return PreviewRow(row.line, shown, why_not=str(rejected))
    return PreviewRow(row.line, shown, number=read.number if isinstance(read, LeadGiven) else read)


def _shown(row: SheetRow) -> list[str]:
    cells = map(visible, [row.text] if row.cells is None else row.cells[:MOST_COLUMNS])
    return [cell if len(cell) <= LONGEST_CELL else f"{cell[:LONGEST_CELL]}…" for cell in cells]
