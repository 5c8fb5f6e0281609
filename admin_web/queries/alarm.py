"""The banner on every page: the first alarm, in the order of what they mean for calls."""

import asyncio
from dataclasses import replace

from admin_web.projection import outbox
from admin_web.projection.drain import Sides
from admin_web.projection.findings import findings
from admin_web.projection.health import lease_left, terms_lost
from admin_web.projection.history import doubt_seen
from admin_web.projection.live import read_live
from admin_web.projection.outbox import Lag
from admin_web.projection.turn import last_turn, row_of
from admin_web.projection.wire import RedisUnavailable
from admin_web.queries.alarms.clocks import alarm_of_clocks, clock_trouble
from admin_web.queries.alarms.differences import alarm_of_drift, alarm_of_recoveries
from admin_web.queries.alarms.enforcement import alarm_of, of_shard, unreachable
from admin_web.queries.alarms.kind import PATIENCE_S, Alarm
from admin_web.queries.alarms.losses import alarm_of_losses
from admin_web.queries.alarms.registries import alarm_of_registries
from admin_web.queries.registries import standings
from admin_web.record.database import DatabaseUnavailable
from admin_web.services.recovery import unseen

NO_RECORD, AS_BEFORE = "The database cannot be reached.", "Calls are judged by the rules in force before the outage."


async def alarm(sides: Sides) -> Alarm | None:
    """Return the banner for every page; None when every recorded change is in force."""
    try:
        async with sides.database.read() as session:
            lag = await outbox.lag(session)
            found, drifted = await standings(session, sides.now()), await findings(session)
            lost = await alarm_of_losses(session, sides.now())
            recoveries = await unseen(session)
    except DatabaseUnavailable:
        return Alarm(NO_RECORD, AS_BEFORE)
    try:
        async with asyncio.timeout(PATIENCE_S):
            shards = await sides.store.shards()
    except (RedisUnavailable, TimeoutError) as error:
        return unreachable(error, lag)
    each = await asyncio.gather(*(_alarm_of_one(replace(sides, store=store), lag) for store in shards))
    slots = [store.keys.first_slot for store in shards]
    first = next((of_shard(one, slot) for one, slot in zip(each, slots, strict=True) if one), None)
    rows = {row_of(slot) for slot in slots}  # No comparison clears what was found in a former shard.
    drift = alarm_of_drift([one for one in drifted if one.row in rows])
    return first or alarm_of_recoveries(recoveries) or drift or lost or alarm_of_registries(found)


async def _alarm_of_one(sides: Sides, lag: Lag) -> Alarm | None:
    """Check one Redis, or one shard of a cluster."""
    try:
        async with asyncio.timeout(PATIENCE_S), sides.store.wire() as wire:
            live, lease_ms = await read_live(wire), await lease_left(wire)
            lost, said = await terms_lost(wire, live), await clock_trouble(wire)
    except (RedisUnavailable, TimeoutError) as error:
        return unreachable(error, lag)
    try:
        async with sides.database.read() as session:
            why = await doubt_seen(session, sides.row, live, await last_turn(session, sides.row))
    except DatabaseUnavailable:
        return Alarm(NO_RECORD, AS_BEFORE)
    found = alarm_of(live, lease_ms, why, lag, sides.now(), terms_lost=lost)
    return found or alarm_of_clocks(said, live, sides.now())
