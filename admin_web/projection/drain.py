"""What is recorded in SQL is brought into force in Redis, change by change.

An outbox row names subjects; what is written is their truth at this moment, not the change that was made. So a row
may be applied late, twice or out of order, and Redis still ends at the truth. What a kill leaves behind:

- before EXEC: nothing was written, the rows are pending, the next turn applies them;
- after EXEC, before the commit in SQL: the truth is in force, the rows are still pending and are applied again.
  Nobody was told that they are in force, and the lease does not outlast their not being so;
- EXEC was sent, and given up for lost: it may still be carried out. `dnc:state` was watched before the truth was
  read, and every write changes `dnc:state`: if anybody has written since, Redis discards it;
- EXEC was carried out, and Redis died before enough replicas had it: the rows are still pending. The replica that
  becomes master is another server than the one on record: it is rebuilt from SQL before it is believed.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.terms import terms_on_record
from admin_web.projection import outbox
from admin_web.projection.ledger import Ledger
from admin_web.projection.live import LiveProjection, look
from admin_web.projection.store import Store, StoreMoved, Wire
from admin_web.projection.truth import truth_of
from admin_web.projection.turn import Turn, note, row_of, take_turn
from admin_web.projection.writing import change_live
from admin_web.record.database import Database
from compliance.cluster import Shard
from compliance.redis_terms import terms_value

MOST_TRIES = 3
"""How often a turn is taken again when somebody without one wrote to Redis meanwhile."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The truth and its projection, and the clock that says which overrides are live (aware UTC).

    When `store` is one shard of a cluster, `ledger` says what each of them has.
    """

    database: Database
    store: Store
    now: Callable[[], datetime]
    ledger: Ledger | None = None

    @property
    def row(self) -> int:
        """The row of SQL that has the generations of this store."""
        return row_of(self.store.keys.first_slot)


async def drain(sides: Sides) -> None:
    """Bring into force all that was committed before this call.

    Raises StoreUnavailable or one of its kinds, and DatabaseUnavailable; the rows then stay pending.
    """
    async with sides.database.read() as session:
        newest = await outbox.newest_pending(session)
    if newest is None:
        return
    async with sides.store.wire() as wire:
        live = await look(wire)  # A Redis that is away is found out before a turn: nobody waits in line for it.
        if await _has_all(sides, live.shard):
            return
        while await _try_turn(sides, wire, newest, live.shard):
            continue


async def _has_all(sides: Sides, shard: Shard | None) -> bool:
    """Tell whether this shard has all that is pending: it waits for others then."""
    if shard is None or sides.ledger is None or not sides.ledger.knows(shard):
        return False
    async with sides.database.read() as session:
        pending = await outbox.pending_ids(session)
    return sides.ledger.had_by(shard, pending) == pending


async def _try_turn(sides: Sides, wire: Wire, newest: int, shard: Shard | None) -> bool:
    for _ in range(MOST_TRIES - 1):
        try:
            return await _turn(sides, wire, newest, shard)
        except StoreMoved:
            continue
    return await _turn(sides, wire, newest, shard)


async def _turn(sides: Sides, wire: Wire, newest: int, shard: Shard | None) -> bool:
    """Apply the oldest of what is pending, in one turn; tell whether there is more."""
    async with sides.database.write() as session:
        turn = await take_turn(session, sides.row)
        rows, more = await outbox.oldest_pending(session, newest, await _had(session, sides, shard))
        if rows:
            await wire.watch(wire.keys.state)
            live = await look(wire)
            state = live.require(await live_generation(session, turn, live, sides.row))
            subjects = outbox.subjects_of(rows)
            if live.shard:
                subjects.keep(live.shard)
            truth, terms = await truth_of(session, subjects, sides.now()), await _terms(session, rows, live)
            if subjects or terms is not None or not live.shard:
                await change_live(wire, state, truth, terms)
                await wire.acknowledged()
            await outbox.mark_applied(session, applied(sides, live.shard, rows), turn.number, sides.now())
    return more


async def _had(session: AsyncSession, sides: Sides, shard: Shard | None) -> Collection[int]:
    """Give the pending rows that a shard has already; they wait for others."""
    if shard is None or sides.ledger is None or not sides.ledger.knows(shard):
        return ()
    return set(sides.ledger.had_by(shard, await outbox.pending_ids(session)))


def applied(sides: Sides, shard: Shard | None, rows: Collection[outbox.OutboxChange]) -> list[int]:
    """Give the ids of the rows that are applied everywhere, now that this store has acknowledged them all."""
    if shard is None or sides.ledger is None:
        return [row.id for row in rows]
    sides.ledger.note(shard, (row.id for row in rows))
    return sides.ledger.finished(rows)


async def _terms(session: AsyncSession, rows: Sequence[outbox.OutboxChange], live: LiveProjection) -> bytes | None:
    """Spell the terms of the registries as Redis holds them, when one of the rows is about terms."""
    if all(row.numbers for row in rows):
        return None
    return terms_value(await terms_on_record(session, live.versions))


async def live_generation(session: AsyncSession, turn: Turn, live: LiveProjection, row: int) -> int:
    """Give the generation that is live; put on record a flip whose own record was lost in a crash.

    A builder flips Redis first and commits to SQL after. If it dies in between, Redis serves the generation that
    SQL has as being built: it is whole, and what is pending is applied to it as to any other. Only within a turn.
    """
    if turn.building is None or live.doubt(turn.building):
        return turn.generation
    await note(session, row, generation=turn.building, building=None, building_at=None)
    return turn.building
