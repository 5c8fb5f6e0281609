"""Recovery of what a Redis blocks although this database does not: the stricter of the two stays in force.

It runs when Redis was not built from the history of this database (`projection/history.py`), as after the restore of a
backup. Calls are stopped meanwhile. What Redis alone blocks is written to SQL, with the source `recovered`. An override
that SQL alone would open, or that waits for its review, is held until an admin confirms it. Then Redis can be rebuilt
from SQL.

Each step is one transaction that also counts what it has done, and finds nothing to do the second time. So a recovery
that was interrupted, or that two workers run at once, ends with the same entries, counts and audit events.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.drain import Sides
from admin_web.projection.evidence import Evidence
from admin_web.projection.former_states import former_states
from admin_web.projection.history import judge
from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.marks import FOREIGN, RECOVERED
from admin_web.projection.turn import first_slots
from admin_web.record.changes import Actor, Change, Records, changing
from admin_web.record.dialect import insert_into
from admin_web.record.models import AuditEvent, Recovery
from admin_web.services.recovered_numbers import recover_numbers
from admin_web.services.recovered_overrides import hold_overrides, hold_waiting, record_lost
from admin_web.services.recovered_registries import recover_registries
from admin_web.services.recovered_terms import recover_terms
from admin_web.services.recovering import Recovering
from compliance.consent import may_revoke
from compliance.refusal import Refused, require

NO_MARK = "none"
"""How people write the empty mark of a Redis that a version without marks has built."""

log = structlog.get_logger()


class WrongMark(Refused):
    """Redis does not have this mark, or it was built from this database."""


class NothingToSee(Refused):
    """No such recovery waits for somebody to look at it."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The counts of a complete recovery: see the table `recoveries`."""

    id: int
    numbers: int
    patterns: int
    terms: int
    held: int
    lost: int


async def recover(sides: Sides, actor: Actor) -> Recovered | None:
    """Recover what this Redis, or shard, alone blocks. Returns None if it was not built from another history.

    Raises NotRecoverable, another RedisUnavailable, DatabaseUnavailable. Call it again then.
    """
    async with sides.store.wire() as wire:
        evidence = await Evidence.of(wire)
        began = await _begin(sides, evidence.live) if evidence else None
        if evidence is None or began is None:
            return None
        evidence.require_own_slots()
        recovering = Recovering(sides, actor, evidence, *began)
        await recover_terms(recovering)
        await recover_numbers(recovering)
        await recover_registries(recovering)
        await hold_waiting(recovering)
        await hold_overrides(recovering)
        await record_lost(recovering)
        await evidence.require_unchanged()
    return await _finish(recovering)


async def require_marks(each: Iterable[Sides], marks: Collection[str]) -> None:
    """Raise WrongMark unless `marks` has those of each Redis, or shard, that was built from another history.

    Raises RedisUnavailable, DatabaseUnavailable.
    """
    missing: list[str] = []
    for sides in each:
        held = await _held(sides)
        async with sides.database.read() as session:
            for row, live in held:
                if await judge(session, row, live) == FOREIGN and _shown(live) not in marks:
                    missing.append(_shown(live))
    if missing:
        raise WrongMark(f"Redis has the mark {' and '.join(missing)}. Nothing was thrown away.")


async def discard_foreign(sides: Sides, actor: Actor, marks: Collection[str]) -> bool:
    """Let the next rebuild throw away what this Redis holds. Returns whether it was built from another history.

    If this is on record already and Redis was not rebuilt since, nothing more is recorded.
    Raises WrongMark unless its mark is one of `marks` (`none` if it has none); RedisUnavailable, DatabaseUnavailable.
    """
    held = await _held(sides)
    async with changing(sides.database, actor, sides.now) as change:
        return any([await _discard(change, row, live, marks) for row, live in held])


async def _held(sides: Sides) -> list[tuple[int, LiveProjection]]:
    """Return what Redis holds, and in a cluster what it holds under former names, each with its row in SQL."""
    async with sides.database.read() as session:
        slots = await first_slots(session)
    async with sides.store.wire() as wire:
        live = await read_live(wire)
        return [(sides.row, live), *await former_states(wire, live, slots)]


async def _discard(change: Change, row: int, live: LiveProjection, marks: Collection[str]) -> bool:
    mark = live.written.mark
    if (why := await judge(change.session, row, live)) != FOREIGN:
        return why == RECOVERED and await _is_discarded(change.session, row, mark)
    if _shown(live) not in marks:
        raise WrongMark(f"Redis has the mark {_shown(live)}. It was not thrown away.")
    recovery_id, _ = await _row(change.session, row, mark, change.at)
    seen = {"ended_at": change.at, "discarded": True, "seen_at": change.at, "seen_by": change.actor.name}
    await change.session.execute(update(Recovery).where(Recovery.id == recovery_id).values(**seen))
    change.audit("discard-history", "recovery", recovery_id, mark=mark, numbers=sum(live.counts.values()))
    return True


def _shown(live: LiveProjection) -> str:
    return live.written.mark or NO_MARK


async def _is_discarded(session: AsyncSession, row: int, mark: str) -> bool:
    discarded = exists().where(Recovery.projection_id == row, Recovery.mark == mark, Recovery.discarded)
    return bool(await session.scalar(select(discarded)))


async def acknowledge_recovery(records: Records, actor: Actor, recovery_id: int) -> None:
    """Record that an admin has looked at what a recovery found. Raises NothingToSee, NotPermitted."""
    require(may_revoke, actor.role, "confirm a recovery")
    async with records.change(actor) as change:
        waiting = update(Recovery).where(
            Recovery.id == recovery_id, Recovery.ended_at.is_not(None), Recovery.seen_at.is_(None)
        )
        seen = waiting.values(seen_at=change.at, seen_by=actor.name).returning(Recovery.id)
        if await change.session.scalar(seen) is None:
            raise NothingToSee(f"Recovery {recovery_id} does not wait for anybody. Nothing was changed.")
        change.audit("see-recovery", "recovery", recovery_id)


async def unseen(session: AsyncSession) -> int:
    """Return how many recoveries wait for an admin to look at their differences."""
    waiting = select(func.count()).where(Recovery.ended_at.is_not(None), Recovery.seen_at.is_(None))
    return await session.scalar(waiting) or 0


async def _begin(sides: Sides, live: LiveProjection) -> tuple[int, datetime] | None:
    """Record that the recovery has begun, or find it. None if Redis was not built from another history."""
    async with sides.database.write() as session:
        if await judge(session, sides.row, live) != FOREIGN:
            return None
        return await _row(session, sides.row, live.written.mark, await _after_all(session, sides.now()))


async def _after_all(session: AsyncSession, at: datetime) -> datetime:
    """Return `at`, or the moment after the last one on record if the clock is behind it.

    What is on record when a recovery begins must not look as if people had decided it since.
    """
    last = await session.scalar(select(func.max(AuditEvent.done_at)))
    return at if last is None else max(at, last + timedelta(milliseconds=1))


async def _row(session: AsyncSession, row: int, mark: str, at: datetime) -> tuple[int, datetime]:
    """Return the id of the recovery of one history of one Redis, and when it began."""
    values = {"projection_id": row, "mark": mark, "began_at": at, "discarded": False}
    counts = dict.fromkeys(("numbers", "patterns", "terms", "held", "lost"), 0)
    insert = insert_into(session, Recovery).values(**values, **counts)
    await session.execute(insert.on_conflict_do_nothing(index_elements=["projection_id", "mark"]))
    known = select(Recovery.id, Recovery.began_at).where(Recovery.projection_id == row, Recovery.mark == mark)
    recovery_id, began_at = (await session.execute(known)).one()
    return recovery_id, began_at


async def _finish(recovering: Recovering) -> Recovered:
    """Record that the recovery is complete, with one audit event."""
    one = Recovery
    counts = (one.id, one.numbers, one.patterns, one.terms, one.held, one.lost)
    async with recovering.change() as change:
        ending = update(one).where(one.id == recovering.id, one.ended_at.is_(None)).values(ended_at=change.at)
        if await change.session.scalar(ending.returning(one.id)) is not None:
            found = Recovered(*(await change.session.execute(select(*counts).where(one.id == recovering.id))).one())
            _audit(change, recovering, found)
            return found
        return Recovered(*(await change.session.execute(select(*counts).where(one.id == recovering.id))).one())


def _audit(change: Change, recovering: Recovering, found: Recovered) -> None:
    counts = {name: getattr(found, name) for name in ("numbers", "patterns", "terms", "held", "lost")}
    change.audit("recover", "recovery", found.id, mark=recovering.evidence.live.written.mark, **counts)
    log.error("recovered what redis alone blocked, an admin must look at it", recovery=found.id, **counts)
