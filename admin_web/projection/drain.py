"""Applies pending changes from SQL to Redis.

An outbox row names subjects, not the change that was made to them. Applying a row writes what SQL says about its
subjects at that moment. So a row may be applied late, twice or out of order, and Redis still ends with what SQL says.
After a kill:

- Before EXEC: nothing was written. The rows are pending, and the next turn applies them.
- After EXEC, before the commit in SQL: the change is in force, but its rows are still pending and are applied again.
  Until then the change is not reported as in force, and the lease is not renewed.
- After EXEC was sent, but before its reply came: Redis may still execute it. `dnc:state` was watched before SQL was
  read, and every write changes `dnc:state`, so Redis discards the late EXEC if anything was written in between.
- After EXEC, when Redis dies before enough replicas have the write: the rows are still pending. The replica that
  becomes master is not the server on record, so the gate does not trust it until its projection is rebuilt from SQL.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.terms import terms_on_record
from admin_web.projection import outbox
from admin_web.projection.history import next_write, require_history
from admin_web.projection.ledger import Ledger
from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.store import Store
from admin_web.projection.truth import truth_of
from admin_web.projection.turn import Turn, row_of, take_turn, update_generations
from admin_web.projection.wire import StoreMoved, Wire
from admin_web.projection.writing import change_live
from admin_web.record.database import Database
from compliance.cluster import Shard
from compliance.facts import State
from compliance.redis_terms import terms_value

MOST_TRIES = 3
"""Maximum number of attempts at a turn. An attempt fails if another process, without the turn, writes to Redis."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The database, the Redis that projects it, and the clock that decides which overrides are live (aware UTC).

    When `store` is a cluster or one of its shards, `ledger` records which rows each shard has applied.
    """

    database: Database
    store: Store
    now: Callable[[], datetime]
    ledger: Ledger | None = None

    @property
    def row(self) -> int:
        """The id of the row in SQL that has the generations of this store."""
        return row_of(self.store.keys.first_slot)


async def drain(sides: Sides) -> None:
    """Apply every change that was committed before this call.

    Raises RedisUnavailable or a subclass, or DatabaseUnavailable; the rows then stay pending.
    """
    async with sides.database.read() as session:
        newest = await outbox.newest_pending(session)
    if newest is None:
        return
    async with sides.store.wire() as wire:
        # During a turn other writers must wait. So read from Redis first: if Redis is unreachable, no turn is taken.
        live = await read_live(wire)
        if await _has_all_pending(sides, live.shard):
            return
        while await _try_turn(sides, wire, newest, live.shard):
            continue


async def _has_all_pending(sides: Sides, shard: Shard | None) -> bool:
    """Return whether this shard has applied all pending rows, so that they are pending only because of other shards."""
    if shard is None or sides.ledger is None or not sides.ledger.has_rows(shard):
        return False
    async with sides.database.read() as session:
        pending = await outbox.pending_ids(session)
    return sides.ledger.applied_by(shard, pending) == pending


async def _try_turn(sides: Sides, wire: Wire, newest: int, shard: Shard | None) -> bool:
    for _ in range(MOST_TRIES - 1):
        try:
            return await _apply_oldest(sides, wire, newest, shard)
        except StoreMoved:
            continue
    return await _apply_oldest(sides, wire, newest, shard)


async def _apply_oldest(sides: Sides, wire: Wire, newest: int, shard: Shard | None) -> bool:
    """Apply the oldest pending rows in one turn. Returns whether there are more."""
    async with sides.database.write() as session:
        turn = await take_turn(session, sides.row)
        rows, more = await outbox.oldest_pending(session, newest, await _applied_before(session, sides, shard))
        if rows:
            live, state = await writable(session, sides, wire, turn)
            subjects = outbox.subjects_of(rows)
            if live.shard:
                subjects.keep(live.shard)
            at = live.earlier(sides.now())
            truth, terms = await truth_of(session, subjects, at), await _terms(session, rows, live)
            if subjects or terms is not None or not live.shard:
                written = await next_write(session, sides.row, [row.id for row in rows], live.versions, sides.now())
                await change_live(wire, state, truth, written, terms)
                await wire.acknowledged()
            await outbox.mark_applied(session, applied(sides, live.shard, rows), turn.number, sides.now())
    return more


async def _applied_before(session: AsyncSession, sides: Sides, shard: Shard | None) -> Collection[int]:
    """Return the pending rows that this shard has applied already. They are pending because of other shards."""
    if shard is None or sides.ledger is None or not sides.ledger.has_rows(shard):
        return ()
    return set(sides.ledger.applied_by(shard, await outbox.pending_ids(session)))


def applied(sides: Sides, shard: Shard | None, rows: Collection[outbox.OutboxChange]) -> list[int]:
    """Record that this store has acknowledged `rows`.

    Returns the ids of the rows that all their shards have now applied.
    """
    if shard is None or sides.ledger is None:
        return [row.id for row in rows]
    sides.ledger.record(shard, (row.id for row in rows))
    return sides.ledger.finished(rows)


async def _terms(session: AsyncSession, rows: Sequence[outbox.OutboxChange], live: LiveProjection) -> bytes | None:
    """Return the encoded terms if one of the rows is about terms; otherwise None."""
    if all(row.numbers for row in rows):
        return None
    return terms_value(*await terms_on_record(session, live.versions))


async def writable(session: AsyncSession, sides: Sides, wire: Wire, turn: Turn) -> tuple[LiveProjection, State]:
    """Watch the projection and return it with its state, in a turn, before what is written to it is read from SQL.

    Raises RedisUnavailable or a subclass unless Redis holds the projection on record.
    """
    await wire.watch(wire.keys.state)
    live = await read_live(wire)
    await require_history(session, sides.row, live)
    return live, live.require(await live_generation(session, turn, live, sides.row))


async def live_generation(session: AsyncSession, turn: Turn, live: LiveProjection, row: int) -> int:
    """Return the generation that is live, and record a flip that a crash left unrecorded. Call it within a turn.

    A builder flips Redis first and commits to SQL afterwards. If it dies in between, Redis serves the generation that
    SQL still records as being built. That generation is complete, so pending changes are applied to it.
    """
    if turn.building is None or live.doubt(turn.building):
        return turn.generation
    await update_generations(session, row, generation=turn.building, building=None, building_at=None)
    return turn.building
