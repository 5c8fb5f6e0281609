"""What every page says while calls are stopped, or while something that is recorded is not in force yet."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from admin_web.projection import outbox
from admin_web.projection.drain import Sides
from admin_web.projection.health import NEVER_ENDS, NO_LEASE, lease_left, terms_lost
from admin_web.projection.live import LiveProjection, ProjectionLost, read_live
from admin_web.projection.outbox import Lag
from admin_web.projection.turn import Turn, last_turn
from admin_web.projection.wire import RedisUnavailable
from admin_web.queries.registries import RegistryStanding, standings
from admin_web.record.database import DatabaseUnavailable

PATIENCE_S = 0.5
"""How long a page waits for Redis to say how it is."""

PENDING_S = 1.0
"""How long a change may be under way before it is worth a word."""

NO_RECORD, AS_BEFORE = "The record cannot be reached.", "Calls are judged by what was in force before."
NO_CALLS = "Calls are stopped."
TERMS_LOST = (
    "Redis does not hold the terms of the registries that it names: a gate that does not know them yet allows no call. "
    "The worker rebuilds it, or run `dnc-admin rebuild`."
)
NO_CALLS_OF_A_SHARD = "Calls of one shard are stopped."
NOT_IN_FORCE = "Recorded, not yet in force."
STALE = "A registry is stale."
STALE_SOON = "A registry will soon be stale."


class Alarm(NamedTuple):
    """What is wrong, in a few words, and what follows."""

    title: str
    text: str


async def alarm(sides: Sides) -> Alarm | None:
    """Give what every page has to say now; None when all that is recorded is in force."""
    try:
        async with sides.database.read() as session:
            lag = await outbox.lag(session)
            found = await standings(session, sides.now())
    except DatabaseUnavailable:
        return Alarm(NO_RECORD, AS_BEFORE)
    try:
        async with asyncio.timeout(PATIENCE_S):
            shards = await sides.store.shards()
    except (RedisUnavailable, TimeoutError) as error:
        return _unasked(error, lag)
    each = await asyncio.gather(*(_alarm_of_one(replace(sides, store=store), lag) for store in shards))
    slots = [store.keys.first_slot for store in shards]
    first = next((of_shard(one, slot) for one, slot in zip(each, slots, strict=True) if one), None)
    return first or alarm_of_registries(found)


def of_shard(alarm: Alarm, first_slot: int | None) -> Alarm:
    """Say of an alarm which shard of a cluster it is about; of a Redis that is no cluster (None), nothing more."""
    if first_slot is None:
        return alarm
    title = NO_CALLS_OF_A_SHARD if alarm.title == NO_CALLS else alarm.title
    return Alarm(title, f"The shard whose lowest slot is {first_slot}: {alarm.text}")


async def _alarm_of_one(sides: Sides, lag: Lag) -> Alarm | None:
    """Look at one Redis, or one shard of a cluster."""
    try:
        async with asyncio.timeout(PATIENCE_S), sides.store.wire() as wire:
            live, lease_ms = await read_live(wire), await lease_left(wire)
            lost = await terms_lost(wire, live)
    except (RedisUnavailable, TimeoutError) as error:
        return _unasked(error, lag)
    try:
        async with sides.database.read() as session:
            turn = await last_turn(session, sides.row)
    except DatabaseUnavailable:
        return Alarm(NO_RECORD, AS_BEFORE)
    return alarm_of(live, lease_ms, turn, lag, sides.now(), terms_lost=lost)


def _unasked(error: Exception, lag: Lag) -> Alarm:
    why = str(error) or "it does not answer"
    return Alarm(NO_CALLS, f"Redis cannot be asked: {why}.{_waiting(lag)}")


def alarm_of_registries(found: Sequence[RegistryStanding]) -> Alarm | None:
    """Say which copies of registries are too old, or soon will be; None when none is."""
    warnings = " ".join(one.warning for one in sorted(found, key=lambda one: not one.stale) if one.warning)
    if not warnings:
        return None
    return Alarm(STALE if any(one.stale for one in found) else STALE_SOON, warnings)


def alarm_of(
    live: LiveProjection, lease_ms: int, turn: Turn, lag: Lag, at: datetime, *, terms_lost: bool = False
) -> Alarm | None:
    """Judge what Redis says (`live`, and what is left of the lease) against what is on record, at `at` (aware UTC)."""
    if why := _doubt_of(live, turn):
        return Alarm(NO_CALLS, f"{ProjectionLost(why)}.{_waiting(lag)}")
    if terms_lost:
        return Alarm(NO_CALLS, f"{TERMS_LOST}{_waiting(lag)}")
    if lease_ms == NO_LEASE:
        return Alarm(NO_CALLS, f"No worker keeps Redis current: is `dnc-admin worker` running?{_waiting(lag)}")
    waited_s = (at - lag.since).total_seconds() if lag.since else 0.0
    if waited_s < PENDING_S:
        return None
    ends = "" if lease_ms == NEVER_ENDS else f" If they are not in {lease_ms / 1000:.0f} s, calls are stopped."
    return Alarm(NOT_IN_FORCE, f"{_counted(lag)} on the way to Redis for {waited_s:.0f} s.{ends}")


def _doubt_of(live: LiveProjection, turn: Turn) -> str:
    """Say as a slug why Redis does not hold the projection that is on record; empty when it does.

    A generation that went live while its builder died is on record as being built: see `drain.live_generation`.
    """
    if turn.building is not None and not live.doubt(turn.building):
        return ""
    return live.doubt(turn.generation)


def _waiting(lag: Lag) -> str:
    return f" {_counted(lag)} recorded and not yet in force." if lag.pending else ""


def _counted(lag: Lag) -> str:
    return "One change is" if lag.pending == 1 else f"{lag.pending:,} changes are"
