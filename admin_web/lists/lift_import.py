"""Lifting of the numbers in a sheet from the company's own list, and its preview."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from admin_web.lists.columns import SAMPLE, NoColumn
from admin_web.lists.imports import Import, Intake, Progress, in_thread, require_some, take_in
from admin_web.lists.layout import Layout
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet, SheetRow
from admin_web.lists.unread import Unread
from admin_web.record.changes import Change
from admin_web.record.database import Database
from admin_web.services.lifting import lift_many_within, would_lift
from admin_web.services.suppression import CHUNK
from compliance.numbers import E164

EXAMPLES = 10


@dataclass(slots=True)
class LiftCounts:
    """How many numbers of a sheet are lifted, how many stay because the person asked, and some examples of those."""

    lifted: int = 0
    kept: int = 0
    examples: list[E164] = field(default_factory=list)

    def add(self, lifted: Sequence[E164], kept: Sequence[E164]) -> None:
        """Count some numbers."""
        self.lifted, self.kept = self.lifted + len(lifted), self.kept + len(kept)
        self.examples = [*self.examples, *kept][:EXAMPLES]


async def preview_lift(
    database: Database, sheet: Sheet, *, region: str, columns: Sequence[str] = (), most: int | None = None
) -> LiftCounts:
    """Return what `lift_numbers` would do with all numbers of a sheet, or with the first `most` ones.

    Raises NotASheet, DatabaseUnavailable.
    """
    counts, numbers = LiftCounts(), islice(_numbers(sheet, region, columns), most)
    while some := await in_thread(_some, numbers):
        done = await would_lift(database, some)
        counts.add(done.lifted, done.kept)
    return counts


async def lift_numbers(
    into: Intake,
    sheet: Sheet,
    report: RejectedRows,
    counts: LiftCounts,
    *,
    region: str,
    reason: str,
    columns: Sequence[str] = (),
) -> Progress:
    """Lift the numbers of a sheet from the internal list, and count them in `counts`.

    Raises NotASheet, NothingTaken, NotPermitted, Unwritable, DatabaseUnavailable, OSError.
    """
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    layout = layout_of_lifts(sample, columns, region)
    for said in filter(None, (layout.joined(), layout.not_read(layout.others))):
        into.warn(said)

    async def put(change: Change, numbers: Sequence[E164], import_id: int) -> int:
        del import_id
        done = await lift_many_within(change, list(dict.fromkeys(numbers)), reason=reason)
        counts.add(done.lifted, done.kept)
        return len(done.lifted)

    unread = Unread(layout)
    coming = unread.watched(chain(sample[layout.skipped :], rows))
    done = await take_in(coming, Import(layout.read, put, len(layout.columns)), report, into)
    require_some(done, sheet, layout, report)
    return replace(done, not_read=unread.said())


def layout_of_lifts(sample: Sequence[SheetRow], columns: Sequence[str], region: str) -> Layout:
    """Recognise the layout of a sheet of numbers to lift. Raises NoColumn, also for a file of changes."""
    layout = Layout.found(sample, columns, region)
    if layout.deed is not None:
        name = layout.name(layout.deed)
        raise NoColumn(
            f"{name[0].upper()}{name[1:]} says A or D, for added and deleted numbers. Every number in a file would be "
            "lifted: keep only the rows with D, and remove this column."
        )
    return layout


def _some(numbers: Iterator[E164]) -> list[E164]:
    return list(islice(numbers, CHUNK))


def _numbers(sheet: Sheet, region: str, columns: Sequence[str]) -> Iterator[E164]:
    """Yield each number of a sheet once."""
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    layout = layout_of_lifts(sample, columns, region)
    seen = set[E164]()
    for row in chain(sample[layout.skipped :], rows):
        for number in layout.read(row.cells)[0] if row.cells is not None else ():
            if number not in seen:
                seen.add(number)
                yield number
