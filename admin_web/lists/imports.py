"""Import of a sheet, chunk by chunk. Each row is either recorded, or reported with the reason for its rejection.

Every chunk is one transaction, and entries that exist already are left unchanged. So an interrupted import can be
completed by running it again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.lists.report import RejectedRows
from admin_web.lists.sheet import SheetRow
from admin_web.record.changes import IN_FORCE, Actor, Change, NotInForce, Projector, Records, Standing
from admin_web.services.suppression import CHUNK
from compliance.numbers import E164, InvalidNumber, normalize

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an import: rows read so far, by result.

    `line` is the line on which the last row began, `report_bytes` the size of the report of rejected rows.
    """

    rows: int = 0
    added: int = 0
    already: int = 0
    rejected: int = 0
    line: int = 0
    report_bytes: int = 0
    standing: Standing = IN_FORCE


async def keep_nothing(session: AsyncSession, done: Progress) -> None:
    """Save no checkpoint."""
    del session, done


@dataclass(frozen=True, slots=True)
class Intake:
    """Destination of an import: records, actor and progress callback.

    `keep` saves a checkpoint in the transaction of each chunk, and may abort the import by raising. `begun` is the last
    checkpoint of an interrupted run. `pause_s` is the pause, in seconds, after each chunk, for other writers.
    """

    records: Records
    actor: Actor
    on_progress: Callable[[Progress], None]
    keep: Callable[[AsyncSession, Progress], Awaitable[None]] = keep_nothing
    begun: Progress = Progress()
    pause_s: float = 0.0


class RowRejected(Exception):
    """A row is rejected; `reason` is a slug, the message explains it."""

    def __init__(self, reason: str, explanation: str) -> None:
        super().__init__(explanation)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Import(Generic[Item]):
    """The kind of an import: `read` converts a row's cells into an item, `put` records a chunk of items in a change.

    `put` returns how many items were new or changed.
    """

    read: Callable[[Sequence[str]], Item]
    put: Callable[[Change, Sequence[Item]], Awaitable[int]]


def read_number(cells: Sequence[str], place: int, width: int, region: str) -> E164:
    """Read the number of a row. Raises RowRejected.

    A row with more cells than the first row has an unquoted delimiter in some cell, so the cell at `place` may belong
    to another column.
    """
    if any(cells[width:]):
        raise RowRejected("too-many-cells", f"this row has {len(cells)} cells, but the first row has {width}")
    cell = cells[place] if len(cells) > place else ""
    if not cell:
        raise RowRejected("no-number", "the number's cell is empty")
    try:
        return normalize(cell, region)
    except InvalidNumber as error:
        raise RowRejected(error.reason, str(error)) from None


class Chunk(NamedTuple, Generic[Item]):
    """Some rows that were read: the items to record, and the positions in sheet and report after these rows."""

    rows: int
    items: list[Item]
    line: int
    rejected: int
    report_bytes: int


async def take_in(rows: Iterator[SheetRow], work: Import[Item], report: RejectedRows, into: Intake) -> Progress:
    """Record chunk after chunk. Return the final progress. Memory holds two chunks.

    While a chunk is being recorded, a thread reads the next one, and the previous one is brought into force.
    """
    records = replace(into.records, projector=UntilRefused(into.records.projector))
    done = into.begun
    await _skip(rows, done.rows)
    coming_into_force = asyncio.ensure_future(_nothing_to_do())
    try:
        async with aclosing(_read_ahead(rows, work, report)) as chunks:
            async for chunk in chunks:
                done = await _record(chunk, work, records, into, done)
                into.on_progress(done)
                await coming_into_force
                await asyncio.sleep(into.pause_s)
                coming_into_force = asyncio.ensure_future(records.standing())
    finally:
        await asyncio.wait({coming_into_force})
    return replace(done, standing=await into.records.standing())


async def _nothing_to_do() -> Standing:
    return IN_FORCE


async def _skip(rows: Iterator[SheetRow], many: int) -> None:
    for first in range(0, many, CHUNK):
        await in_thread(_pass_over, rows, min(CHUNK, many - first))


def _pass_over(rows: Iterator[SheetRow], many: int) -> None:
    for _ in islice(rows, many):
        pass


async def _read_ahead(
    rows: Iterator[SheetRow], work: Import[Item], report: RejectedRows
) -> AsyncGenerator[Chunk[Item]]:
    """Yield chunk after chunk. The next one is read while the caller records the last one."""
    reading = asyncio.ensure_future(in_thread(_read_chunk, rows, work, report))
    try:
        while (chunk := await reading).rows:
            reading = asyncio.ensure_future(in_thread(_read_chunk, rows, work, report))
            yield chunk
    finally:
        reading.cancel()
        await asyncio.wait({reading})


async def in_thread(work: Callable[..., Result], *given: object, pool: Executor | None = None) -> Result:
    """Run in a thread.

    A thread cannot be stopped, so a cancellation waits for its end; the sheet stays open until then.
    """
    running = asyncio.get_running_loop().run_in_executor(pool, partial(work, *given))
    try:
        return await asyncio.shield(running)
    finally:
        await asyncio.wait({running})


def _read_chunk(rows: Iterator[SheetRow], work: Import[Item], report: RejectedRows) -> Chunk[Item]:
    items: list[Item] = []
    count = line = 0
    for row in islice(rows, CHUNK):
        count, line = count + 1, row.line
        try:
            items.append(_read(row, work))
        except RowRejected as rejected:
            report.add(row.line, rejected.reason, str(rejected), row.text)
    return Chunk(count, items, line, report.count, report.flush())


async def _record(chunk: Chunk[Item], work: Import[Item], records: Records, into: Intake, done: Progress) -> Progress:
    """Record a chunk and the import's checkpoint in one transaction."""
    async with records.change(into.actor) as change:
        added = await work.put(change, chunk.items) if chunk.items else 0
        done = Progress(
            rows=done.rows + chunk.rows,
            added=done.added + added,
            already=done.already + len(chunk.items) - added,
            rejected=chunk.rejected,
            line=chunk.line,
            report_bytes=chunk.report_bytes,
        )
        await into.keep(change.session, done)
    return done


def _read(row: SheetRow, work: Import[Item]) -> Item:
    if row.cells is None:
        raise RowRejected("malformed", "the quotation marks do not match")
    return work.read(row.cells)


def without_heading(rows: Iterator[SheetRow], is_heading_row: Callable[[Sequence[str]], bool]) -> Iterator[SheetRow]:
    """Skip the first row if it is the heading."""
    for place, row in enumerate(rows):
        if place or row.cells is None or not is_heading_row(row.cells):
            yield row


def is_number(cell: str, region: str) -> bool:
    """Return whether a cell contains a telephone number."""
    try:
        normalize(cell, region)
    except InvalidNumber:
        return False
    return True


class UntilRefused:
    """A projector that is not called again once it has failed: a long import must not wait for Redis at each chunk."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._refused: NotInForce | None = None

    async def drain(self) -> None:
        """Apply every committed change, unless an earlier call has failed. Raises NotInForce."""
        if self._refused is not None:
            raise NotInForce(str(self._refused))
        try:
            await self._projector.drain()
        except NotInForce as error:
            self._refused = error
            raise
