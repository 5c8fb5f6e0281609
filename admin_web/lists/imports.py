"""Taking a sheet in, chunk by chunk: each row is recorded, or reported with its reason; none is lost.

Every chunk is one transaction, and what stands already is left alone: an import that was cut short, by whatever, is
finished by running it again.
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
    """How far an import is: rows read so far, and what became of them.

    `line` is the line that the last of them began on, `report_bytes` how long the report of rejected rows is.
    """

    rows: int = 0
    added: int = 0
    already: int = 0
    rejected: int = 0
    line: int = 0
    report_bytes: int = 0
    standing: Standing = IN_FORCE


async def keep_nothing(session: AsyncSession, done: Progress) -> None:
    """Put nothing on record but the rows."""
    del session, done


@dataclass(frozen=True, slots=True)
class Intake:
    """Where rows go, in whose name, and who is told.

    `keep` takes part in the transaction of each chunk, and may end the import by raising; `begun` is the progress that
    it put on record last, when an earlier run was cut short. `pause_s`: how long the record is left to others after
    each chunk.
    """

    records: Records
    actor: Actor
    on_progress: Callable[[Progress], None]
    keep: Callable[[AsyncSession, Progress], Awaitable[None]] = keep_nothing
    begun: Progress = Progress()
    pause_s: float = 0.0


class RowRejected(Exception):
    """A row cannot be accepted; `reason` is a slug, the message explains it."""

    def __init__(self, reason: str, explanation: str) -> None:
        super().__init__(explanation)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Import(Generic[Item]):
    """What an import does: `read` makes an item of a row's cells, `put` records a chunk of them within a change.

    `put` gives how many were new, or changed.
    """

    read: Callable[[Sequence[str]], Item]
    put: Callable[[Change, Sequence[Item]], Awaitable[int]]


def read_number(cells: Sequence[str], place: int, width: int, region: str) -> E164:
    """Read the number of a row. Raises RowRejected.

    A row with more cells than the first has an unquoted delimiter in one of them: the cell at `place` may be another
    than it seems.
    """
    if any(cells[width:]):
        raise RowRejected("too-many-cells", f"the first row has {width} cells, this one {len(cells)}")
    cell = cells[place] if len(cells) > place else ""
    if not cell:
        raise RowRejected("no-number", "the number's cell is empty")
    try:
        return normalize(cell, region)
    except InvalidNumber as error:
        raise RowRejected(error.reason, str(error)) from None


class Chunk(NamedTuple, Generic[Item]):
    """Some rows as they were read: what is to be recorded of them, and how far the sheet and the report are then."""

    rows: int
    items: list[Item]
    line: int
    rejected: int
    report_bytes: int


async def take_in(rows: Iterator[SheetRow], work: Import[Item], report: RejectedRows, into: Intake) -> Progress:
    """Record chunk after chunk; memory holds two of them.

    Reading goes on in a thread, and what is recorded comes into force, while the next chunk is being recorded.
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
    """Give chunk after chunk; the next one is read while the last one is being recorded."""
    reading = asyncio.ensure_future(in_thread(_read_chunk, rows, work, report))
    try:
        while (chunk := await reading).rows:
            reading = asyncio.ensure_future(in_thread(_read_chunk, rows, work, report))
            yield chunk
    finally:
        reading.cancel()
        await asyncio.wait({reading})


async def in_thread(work: Callable[..., Result], *given: object, pool: Executor | None = None) -> Result:
    """Run in a thread. No thread can be stopped: cancelling this still waits for its end, with the sheet open."""
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
    """Record a chunk in one transaction, and with it how far the import is."""
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
        raise RowRejected("malformed", "its quotation marks do not match")
    return work.read(row.cells)


def without_heading(rows: Iterator[SheetRow], is_heading_row: Callable[[Sequence[str]], bool]) -> Iterator[SheetRow]:
    """Leave out the first row if it is the heading."""
    for place, row in enumerate(rows):
        if place or row.cells is None or not is_heading_row(row.cells):
            yield row


def is_number(cell: str, region: str) -> bool:
    """Tell whether a cell reads as a number."""
    try:
        normalize(cell, region)
    except InvalidNumber:
        return False
    return True


class UntilRefused:
    """A projector that is not asked again once it failed: a long import would wait for Redis at each chunk."""

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self._refused: NotInForce | None = None

    async def drain(self) -> None:
        """Apply every committed change, as long as that works. Raises NotInForce."""
        if self._refused is not None:
            raise NotInForce(str(self._refused))
        try:
            await self._projector.drain()
        except NotInForce as error:
            self._refused = error
            raise
