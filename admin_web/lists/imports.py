"""Import of a sheet, chunk by chunk. Each row is either recorded, or reported with the reason for its rejection.

Every chunk is one transaction, and entries that exist already are left unchanged. So an interrupted import can be
completed by running it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.lists.columns import shown
from admin_web.lists.import_kind import Import, Item, Recorded
from admin_web.lists.layout import Layout
from admin_web.lists.progress import NOT_BEGUN, Progress, keep_nothing
from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import NotASheet, Sheet, SheetRow
from admin_web.lists.windows import Window, read_ahead, skip
from admin_web.record.changes import IN_FORCE, Actor, NotInForce, Projector, Records, Standing
from compliance.numbers import E164

EXAMPLES = 10
"""Maximum number of kept numbers that a result names."""


def say_nothing(said: str) -> None:
    """Ignore what is said."""
    del said


@dataclass(frozen=True, slots=True)
class Intake:
    """Destination of an import: records, actor and progress callback.

    `keep` saves a checkpoint in the transaction of each chunk, and may abort the import by raising. `begun` is the last
    checkpoint of an interrupted run. `pause_s` is the pause, in seconds, after each chunk, for other writers. `warn` is
    called before the first chunk with each sentence about columns that are joined or not read.
    """

    records: Records
    actor: Actor
    on_progress: Callable[[Progress], None]
    keep: Callable[[AsyncSession, Progress], Awaitable[None]] = keep_nothing
    begun: Progress = NOT_BEGUN
    pause_s: float = 0.0
    warn: Callable[[str], None] = say_nothing


class NothingTaken(NotASheet):
    """No row of a sheet was taken; the message says what the sheet looks like."""


async def take_in(rows: Iterator[SheetRow], work: Import[Item], report: RejectedRows, into: Intake) -> Progress:
    """Record chunk after chunk. Return the final progress. Memory holds two windows.

    While a window is being recorded, a thread reads the next one. While a chunk is being recorded, the previous one is
    brought into force.
    """
    records = replace(into.records, projector=UntilRefused(into.records.projector))
    done = into.begun
    await skip(rows, done.rows)
    coming_into_force = asyncio.ensure_future(_nothing_to_do())
    try:
        async with aclosing(read_ahead(rows, work, report)) as windows:
            async for window in windows:
                mark, first = window.mark if len(window.items) > work.chunk else 0, done
                # The checksum differs if another version of the program read this window. Then it is recorded again
                # from its start, which adds no entry twice.
                taken = done.taken if done.mark == mark else 0
                for part, is_last in _parts(window.items[taken:], work.chunk):
                    taken += len(part)
                    done = await _record(part, work, records, into, done, Place(window, mark, taken, is_last))
                    into.on_progress(_shown(first, done, window))
                    await coming_into_force
                    coming_into_force = asyncio.ensure_future(records.standing())
                    if into.pause_s:
                        await coming_into_force
                        await asyncio.sleep(into.pause_s)
    finally:
        await asyncio.wait({coming_into_force})
    return replace(done, standing=await into.records.standing())


class Place(NamedTuple):
    """Where a chunk ends: after the first `taken` items of a window, whose checksum is `mark`."""

    window: Window[Any]
    mark: int
    taken: int
    is_last: bool

    def after(self, done: Progress) -> Progress:
        """Return the progress with this place as its checkpoint."""
        if not self.is_last:
            return replace(done, taken=self.taken, mark=self.mark)
        window = self.window
        return replace(
            done,
            rows=done.rows + window.rows,
            already=done.already + window.given - len(window.items),
            rejected=window.rejected,
            line=window.line,
            report_bytes=window.report_bytes,
            taken=0,
            mark=0,
        )


def _parts(items: Sequence[Item], size: int) -> Iterator[tuple[Sequence[Item], bool]]:
    """Yield the chunks of a window, and whether each is the last one. A window without items has one empty chunk."""
    for at in range(0, max(1, len(items)), size):
        yield items[at : at + size], at + size >= len(items)


def _shown(first: Progress, done: Progress, window: Window[Item]) -> Progress:
    """Return the progress for people: within a window, rows and lines grow with the items that are on record."""
    if not done.taken:
        return done
    share = done.taken / len(window.items)
    return replace(
        done,
        rows=first.rows + int(share * window.rows),
        line=first.line + int(share * (window.line - first.line)),
        rejected=first.rejected + int(share * (window.rejected - first.rejected)),
    )


async def _nothing_to_do() -> Standing:
    return IN_FORCE


async def _record(
    items: Sequence[Item], work: Import[Item], records: Records, into: Intake, done: Progress, place: Place
) -> Progress:
    """Record a chunk and the import's checkpoint in one transaction."""
    async with records.change(into.actor) as change:
        import_id = done.import_id
        if items and work.begin is not None:
            import_id = import_id or await work.begin(change)
        new, kept = await work.put(change, items, import_id) if items else Recorded(0)
        done = place.after(
            replace(
                done,
                added=done.added + new,
                already=done.already + len(items) - new - len(kept),
                kept=done.kept + len(kept),
                such_as=list(dict.fromkeys([*done.such_as, *kept]))[:EXAMPLES],
                import_id=import_id,
            )
        )
        if import_id and work.count is not None:
            await work.count(change, done)
        await into.keep(change.session, done)
    return done


def require_some(done: Progress, sheet: Sheet, layout: Layout, report: RejectedRows) -> None:
    """Raise NothingTaken unless something was taken."""
    if done.added or done.already or done.kept:
        return
    if not done.rows:
        raise NothingTaken(f"{sheet.name}: nothing was taken, because the file contains no rows with content.")
    columns = f"columns {shown(layout.headings)}" if len(layout.headings) > 1 else "one column"
    looked = " and ".join(map(layout.named, layout.columns))
    rows = "its only row was not taken" if done.rows == 1 else f"none of its {done.rows:,} rows was taken"
    raise NothingTaken(
        f"{sheet.name}: {rows}. The file looks like {sheet.shape}: {columns}. The numbers were looked for in {looked}."
        + (f" {report.first}" if report.first else "")
    )


class UntilRefused:
    """A projector that is not called again once it has failed: a long import must not wait for Redis at each chunk."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._refused: NotInForce | None = None

    async def drain(self, numbers: Collection[E164] | None = None) -> None:
        """Apply every committed change, unless an earlier call has failed. Raises NotInForce."""
        if self._refused is not None:
            # Otherwise each raise would add its frames to the traceback, and so keep the numbers of every chunk.
            raise self._refused.with_traceback(None)
        try:
            await self._projector.drain(numbers)
        except NotInForce as error:
            self._refused = error
            raise
