"""A sheet of numbers, put on the company's own list."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, islice

from admin_web.columns import SAMPLE, is_heading, number_column
from admin_web.importing import Import, Progress, UntilRefused, is_number, read_number, take_in, without_heading
from admin_web.report import RejectedRows
from admin_web.services.records import Actor, Records, Standing
from admin_web.services.suppression import suppress_many
from admin_web.sheet import Row, Sheet
from compliance.numbers import E164


async def import_numbers(
    records: Records,
    actor: Actor,
    sheet: Sheet,
    report: RejectedRows,
    *,
    region: str,
    column: str | None = None,
    note: str = "",
    on_progress: Callable[[Progress], None],
) -> Progress:
    """Put the numbers of a sheet on the internal list. Raises NotASheet, DatabaseUnavailable, OSError."""
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    place = number_column(sample, column, lambda cell: is_number(cell, region))
    width = _width(sample)
    patient = replace(records, projector=UntilRefused(records.projector))

    def read(cells: Sequence[str]) -> E164:
        return read_number(cells, place, width, region)

    async def keep(numbers: Sequence[E164]) -> tuple[int, Standing]:
        done = await suppress_many(patient, actor, numbers, source="import", note=note or f"from {sheet.name}")
        return done.added, done.standing

    chosen = without_heading(chain(sample, rows), lambda cells: len(cells) > place and is_heading(cells[place]))
    done = await take_in(chosen, Import(read, keep), report, on_progress)
    return replace(done, standing=await records.standing())


def _width(sample: Sequence[Row]) -> int:
    return next((len(row.cells) for row in sample if row.cells), 1)
