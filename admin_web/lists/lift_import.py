"""Lifting of the numbers in a sheet from the company's own list, and its preview."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from admin_web.lists.columns import SAMPLE, NoColumn
from admin_web.lists.import_kind import Import, Recorded
from admin_web.lists.imports import EXAMPLES, Intake, require_some, take_in
from admin_web.lists.layout import Layout
from admin_web.lists.progress import Progress
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import Sheet, SheetRow
from admin_web.lists.threads import in_thread
from admin_web.lists.unread import Unread
from admin_web.record.changes import Change
from admin_web.record.database import Database
from admin_web.services.lifting import LiftedMany, lift_many_within, would_lift
from admin_web.services.suppression import CHUNK
from compliance.numbers import E164


@dataclass(slots=True)
class LiftCounts:
    """How many numbers of a sheet would be lifted, would stay because the person asked, or are not on the list.

    `examples` are some of those that stay. With `more`, the sheet contains numbers that were not looked up.
    """

    lifted: int = 0
    kept: int = 0
    absent: int = 0
    examples: list[E164] = field(default_factory=list)
    more: bool = False

    def add(self, numbers: Sequence[E164], done: LiftedMany) -> None:
        """Count some numbers."""
        self.lifted, self.kept = self.lifted + len(done.lifted), self.kept + len(done.kept)
        self.absent += len(numbers) - len(done.lifted) - len(done.kept)
        self.examples = [*self.examples, *done.kept][:EXAMPLES]

    def __str__(self) -> str:
        """Return the counts as a sentence about what would happen."""
        such = f", such as {', '.join(self.examples)}" if self.examples else ""
        stay = f"{self.kept:,} would stay because the person asked not to be called{such}"
        absent = f"{self.absent:,} {'is' if self.absent == 1 else 'are'} not on the list"
        return f"{self.lifted:,} would be lifted, {stay}, and {absent}."


async def preview_lift(
    database: Database, sheet: Sheet, *, region: str, columns: Sequence[str] = (), most: int | None = None
) -> LiftCounts:
    """Return what `lift_numbers` would do with all numbers of a sheet, or with the first `most` ones.

    Raises NotASheet, DatabaseUnavailable.
    """
    counts, numbers = LiftCounts(), _numbers(sheet, region, columns)
    first = islice(numbers, most)
    while some := await in_thread(_some, first):
        counts.add(some, await would_lift(database, some))
    counts.more = bool(await in_thread(_some, islice(numbers, 1)))
    return counts


async def lift_numbers(
    into: Intake,
    sheet: Sheet,
    report: RejectedRows,
    *,
    region: str,
    reason: str,
    columns: Sequence[str] = (),
) -> Progress:
    """Lift the numbers of a sheet from the company's own list.

    In the progress, `added` counts the rows whose number was lifted, `kept` those whose number stays, and `already`
    those whose number is not on the list.

    Raises NotASheet, NothingTaken, NotPermitted, Unwritable, DatabaseUnavailable, OSError.
    """
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    layout = layout_of_lifts(sample, columns, region)
    for said in filter(None, (layout.joined(), layout.not_read(layout.others))):
        into.warn(said)

    async def put(change: Change, numbers: Sequence[E164], import_id: int) -> Recorded:
        del import_id
        done = await lift_many_within(change, list(dict.fromkeys(numbers)), reason=reason)
        stay = set(done.kept)
        return Recorded(len(done.lifted), [number for number in numbers if number in stay])

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
