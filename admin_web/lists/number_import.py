"""Import of a sheet of numbers to the company's own list."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice

from admin_web.lists.columns import SAMPLE, is_heading, number_column
from admin_web.lists.imports import Import, Intake, Progress, is_number, read_number, take_in, without_heading
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet, SheetRow
from admin_web.record.changes import Change
from admin_web.services.suppression import suppress_many_within
from compliance.numbers import E164


@dataclass(frozen=True, slots=True)
class NumberCells:
    """Index of the number's cell in a row; `width` is the number of cells in the first row."""

    number: int
    width: int
    region: str

    @classmethod
    def found(cls, sample: Sequence[SheetRow], column: str | None, region: str) -> "NumberCells":
        """Recognise the column from the first rows, or by `column`: its heading or position from 1. Raises NoColumn."""
        number = number_column(sample, column, lambda cell: is_number(cell, region))
        return cls(number, next((len(row.cells) for row in sample if row.cells), 1), region)

    def is_heading_row(self, cells: Sequence[str]) -> bool:
        """Return whether the first row of a sheet is a heading."""
        return len(cells) > self.number and is_heading(cells[self.number])

    def read(self, cells: Sequence[str]) -> E164:
        """Return the number of a row. Raises RowRejected."""
        return read_number(cells, self.number, self.width, self.region)


async def import_numbers(
    into: Intake, sheet: Sheet, report: RejectedRows, *, region: str, column: str | None = None, note: str = ""
) -> Progress:
    """Put the numbers of a sheet on the internal list. Raises NotASheet, DatabaseUnavailable, OSError."""
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    cells = NumberCells.found(sample, column, region)

    async def put(change: Change, numbers: Sequence[E164]) -> int:
        return await suppress_many_within(change, numbers, source="import", note=note or f"from {sheet.name}")

    chosen = without_heading(chain(sample, rows), cells.is_heading_row)
    return await take_in(chosen, Import(cells.read, put), report, into)
