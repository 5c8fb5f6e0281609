"""The banner on every page: the first alarm, in the order of what they mean for calls."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection import outbox
from admin_web.projection.drain import Sides
from admin_web.projection.findings import findings
from admin_web.projection.health import lease_left, terms_lost
from admin_web.projection.history import doubt_seen
from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.outbox import Lag
from admin_web.projection.store import Store
from admin_web.projection.turn import last_turn, row_of
from admin_web.projection.wire import RedisUnavailable
from admin_web.queries.alarms.clocks import alarm_of_clocks, clock_trouble
from admin_web.queries.alarms.differences import alarm_of_drift, alarm_of_recoveries
from admin_web.queries.alarms.enforcement import alarm_of, gravest, of_shard, unreachable
from admin_web.queries.alarms.kind import PATIENCE_S, Alarm
from admin_web.queries.alarms.losses import alarm_of_losses
from admin_web.queries.alarms.registries import alarm_of_registries
from admin_web.queries.registries import standings
from admin_web.record.database import DatabaseUnavailable
from admin_web.services.recovery import unseen

NO_RECORD, AS_BEFORE = "The database cannot be reached.", "Calls are judged by the rules in force before the outage."


class Seen(NamedTuple):
    """What one Redis, or one shard of a cluster, says at `at` (aware UTC), or why it cannot be queried."""

    first_slot: int | None
    at: datetime
    live: LiveProjection | Exception
    lease_ms: int = 0
    terms_lost: bool = False
    clock: str = ""


async def alarm(sides: Sides) -> Alarm | None:
    """Return the banner for every page; None when every recorded change is in force."""
    each = await _look(sides)
    try:
        async with sides.database.read() as session:
            return await _first_alarm(session, each, sides.now())
    except DatabaseUnavailable:
        return Alarm(NO_RECORD, AS_BEFORE)


async def _look(sides: Sides) -> Sequence[Seen]:
    """Query each shard of a cluster, or the one Redis. SQL must be read after that: see `history.py`."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            shards = await sides.store.shards()
    except (RedisUnavailable, TimeoutError) as error:
        return [Seen(None, sides.now(), error)]
    return await asyncio.gather(*(_look_at(sides, store) for store in shards))


async def _look_at(sides: Sides, store: Store) -> Seen:
    slot = store.keys.first_slot
    try:
        async with asyncio.timeout(PATIENCE_S), store.wire() as wire:
            live, lease_ms = await read_live(wire), await lease_left(wire)
            lost, clock = await terms_lost(wire, live), await clock_trouble(wire)
            return Seen(slot, sides.now(), live, lease_ms, lost, clock)
    except (RedisUnavailable, TimeoutError) as error:
        return Seen(slot, sides.now(), error)


async def _first_alarm(session: AsyncSession, each: Sequence[Seen], at: datetime) -> Alarm | None:
    lag = await outbox.lag(session)
    rows = {row_of(one.first_slot) for one in each}  # No comparison clears what was found in a former shard.
    return (
        gravest([await _alarm_of_one(session, one, lag) for one in each])
        or alarm_of_recoveries(await unseen(session))
        or alarm_of_drift([one for one in await findings(session) if one.row in rows])
        or await alarm_of_losses(session, at)
        or alarm_of_registries(await standings(session, at))
    )


async def _alarm_of_one(session: AsyncSession, seen: Seen, lag: Lag) -> Alarm | None:
    live = seen.live
    if isinstance(live, Exception):
        return of_shard(unreachable(live, lag), seen.first_slot)
    row = row_of(seen.first_slot)
    why = await doubt_seen(session, row, live, await last_turn(session, row))
    found = alarm_of(live, seen.lease_ms, why, lag, seen.at, terms_lost=seen.terms_lost)
    found = found or alarm_of_clocks(seen.clock, live, seen.at)
    return of_shard(found, seen.first_slot) if found else None
