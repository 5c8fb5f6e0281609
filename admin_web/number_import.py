"""A sheet of numbers, put on the company's own list."""

from collections.abc import Sequence
from itertools import chain, islice

from admin_web.columns import SAMPLE, is_heading, number_column
from admin_web.importing import Import, Intake, Progress, is_number, read_number, take_in, without_heading
from admin_web.report import RejectedRows
from admin_web.services.records import Change
from admin_web.services.suppression import suppress_many_within
from admin_web.sheet import Row, Sheet
from compliance.numbers import E164


async def import_numbers(
    into: Intake, sheet: Sheet, report: RejectedRows, *, region: str, column: str | None = None, note: str = ""
) -> Progress:
    """Put the numbers of a sheet on the internal list. Raises NotASheet, DatabaseUnavailable, OSError."""
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    place = number_column(sample, column, lambda cell: is_number(cell, region))
    width = _width(sample)

    def read(cells: Sequence[str]) -> E164:
        return read_number(cells, place, width, region)

    async def put(change: Change, numbers: Sequence[E164]) -> int:
        return await suppress_many_within(change, numbers, source="import", note=note or f"from {sheet.name}")

    chosen = without_heading(chain(sample, rows), lambda cells: len(cells) > place and is_heading(cells[place]))
    return await take_in(chosen, Import(read, put), report, into)


def _width(sample: Sequence[Row]) -> int:
    return next((len(row.cells) for row in sample if row.cells), 1)
