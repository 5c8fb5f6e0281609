"""The banner on every page while calls are stopped, or while recorded changes are not in force yet."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection import outbox
from admin_web.projection.drain import Sides
from admin_web.projection.findings import Finding, findings
from admin_web.projection.health import NEVER_ENDS, NO_LEASE, lease_left, terms_lost
from admin_web.projection.history import doubt_seen
from admin_web.projection.live import ForeignHistory, LiveProjection, read_live
from admin_web.projection.marks import FOREIGN
from admin_web.projection.outbox import Lag
from admin_web.projection.turn import last_turn
from admin_web.projection.wire import RedisUnavailable, Wire
from admin_web.queries.registries import RegistryStanding, standings
from admin_web.record.changes import public_words
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.models import DecisionRecord
from admin_web.services.recovery import unseen
from compliance.clocks import TOLERATED_S
from compliance.refusal import as_sentence
from compliance.verdict import RECORDS_LOST, Verdict

PATIENCE_S = 0.5
"""Seconds that a page waits for the state of Redis."""

PENDING_S = 1.0
"""Seconds that a change may take to reach Redis before the banner mentions it."""

NO_RECORD, AS_BEFORE = "The database cannot be reached.", "Calls are judged by the rules in force before the outage."
NO_CALLS = "Calls are stopped."
TERMS_LOST = (
    "Redis has lost the terms of the registries, so gates that have not loaded them yet block every call. "
    "The worker rebuilds the copy in Redis. You can also run `dnc-admin rebuild`."
)
NO_CALLS_OF_A_SHARD = "Calls to the numbers on one shard are stopped."
NOT_IN_FORCE = "Recorded, not yet in force."
CLOCK = "A clock is wrong."
RECORDS_WAIT = "Until it is right, the worker records no end of an override or entry, and deletes nothing."
STAMPS = "Moments are recorded by it. Set both clocks."
DRIFT = "Redis did not hold what is on record."
MENDED = (
    "The worker has put it right, and compares everything again; this disappears once nothing differs. "
    "Find out who else writes to Redis. The audit log and the log of the worker name the numbers."
)
LOST = "Records of calls are lost."
LOST_WHERE = "The call log shows when, with the reason records-lost. See that the gates' disks have room."
MOST_LOSSES = 1_000
LOST_FOR = timedelta(hours=24)
"""How long the banner mentions a loss, counted from its first call."""

RECOVERED = "Recovered from Redis."
LOOK_AT_IT = (
    "The database had lost changes that Redis still held. What either of them blocks is blocked. "
    "An admin must look at the differences: see the Compliance Monitor."
)
STALE = "A registry is stale."
STALE_SOON = "A registry will soon be stale."


class Alarm(NamedTuple):
    """What is wrong, in a few words, and what it means for calls."""

    title: str
    text: str


async def alarm(sides: Sides) -> Alarm | None:
    """Return the banner for every page; None when every recorded change is in force."""
    try:
        async with sides.database.read() as session:
            lag = await outbox.lag(session)
            found, drifted = await standings(session, sides.now()), await findings(session)
            lost = await _lost(session, sides.now())
            recoveries = await unseen(session)
    except DatabaseUnavailable:
        return Alarm(NO_RECORD, AS_BEFORE)
    try:
        async with asyncio.timeout(PATIENCE_S):
            shards = await sides.store.shards()
    except (RedisUnavailable, TimeoutError) as error:
        return _unreachable(error, lag)
    each = await asyncio.gather(*(_alarm_of_one(replace(sides, store=store), lag) for store in shards))
    slots = [store.keys.first_slot for store in shards]
    first = next((of_shard(one, slot) for one, slot in zip(each, slots, strict=True) if one), None)
    return first or alarm_of_recoveries(recoveries) or alarm_of_drift(drifted) or lost or alarm_of_registries(found)


def of_shard(alarm: Alarm, first_slot: int | None) -> Alarm:
    """Add to an alarm which shard of a cluster it is about. `first_slot` is None when Redis is not a cluster."""
    if first_slot is None:
        return alarm
    title = NO_CALLS_OF_A_SHARD if alarm.title == NO_CALLS else alarm.title
    return Alarm(title, f"Shard with the lowest slot {first_slot}: {alarm.text}")


async def _alarm_of_one(sides: Sides, lag: Lag) -> Alarm | None:
    """Check one Redis, or one shard of a cluster."""
    try:
        async with asyncio.timeout(PATIENCE_S), sides.store.wire() as wire:
            live, lease_ms = await read_live(wire), await lease_left(wire)
            lost, said = await terms_lost(wire, live), await _clock_trouble(wire)
    except (RedisUnavailable, TimeoutError) as error:
        return _unreachable(error, lag)
    try:
        async with sides.database.read() as session:
            why = await doubt_seen(session, sides.row, live, await last_turn(session, sides.row))
    except DatabaseUnavailable:
        return Alarm(NO_RECORD, AS_BEFORE)
    found = alarm_of(live, lease_ms, why, lag, sides.now(), terms_lost=lost)
    return found or alarm_of_clocks(said, live, sides.now())


async def _clock_trouble(wire: Wire) -> str:
    """Return what a worker says about its clock; empty if it trusts it."""
    (said,) = await wire.ask(("GET", wire.keys.clock))
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else ""


def alarm_of_clocks(said: str, live: LiveProjection, at: datetime) -> Alarm | None:
    """Return the alarm about the clock of a worker (`said`), or of this site: `at` is its time just now."""
    if said:
        return Alarm(CLOCK, f"Worker: {said} {RECORDS_WAIT}")
    off_s = at.timestamp() - live.at_ms / 1000
    if abs(off_s) <= TOLERATED_S + PATIENCE_S:
        return None
    place = "ahead of" if off_s > 0 else "behind"
    return Alarm(CLOCK, f"The clock of this site is {abs(off_s):,.0f} s {place} that of Redis. {STAMPS}")


async def _lost(session: AsyncSession, at: datetime) -> Alarm | None:
    """Return the alarm about decisions that gates have lost recently; None when there are none."""
    lost = (DecisionRecord.verdict == Verdict.BLOCK, DecisionRecord.reason == RECORDS_LOST)
    newest = select(DecisionRecord.gate, DecisionRecord.detail).where(*lost, DecisionRecord.at > at - LOST_FOR)
    rows = (await session.execute(newest.order_by(DecisionRecord.at.desc()).limit(MOST_LOSSES))).all()
    if not rows:
        return None
    who = ", ".join(sorted({gate for gate, _ in rows}))
    return Alarm(LOST, f"{_sum_of([detail for _, detail in rows])} of {who} could not be kept. {LOST_WHERE}")


def _sum_of(details: Sequence[str]) -> str:
    """Add up the counts with which the details begin."""
    counts = [int(first) for first in (detail.partition(" ")[0] for detail in details) if first.isdecimal()]
    return "One record" if sum(counts) == 1 else f"{sum(counts):,} records"


def _unreachable(error: Exception, lag: Lag) -> Alarm:
    why = as_sentence(public_words(error) or "it does not answer")
    return Alarm(NO_CALLS, f"Redis cannot be queried: {why}{_waiting(lag)}")


def alarm_of_recoveries(waiting: int) -> Alarm | None:
    """Return the alarm about recoveries at whose differences no admin has looked; None when there is none."""
    return Alarm(RECOVERED, LOOK_AT_IT) if waiting else None


def alarm_of_drift(found: Sequence[Finding]) -> Alarm | None:
    """Return the alarm about differences between SQL and Redis that no later comparison has cleared."""
    kinds = Counter[str]()
    for one in found:
        kinds.update(one.kinds)
    if not kinds:
        return None
    said = ", ".join(f"{many:,} {kind}" for kind, many in sorted(kinds.items()))
    return Alarm(DRIFT, f"{said}. {MENDED}")


def alarm_of_registries(found: Sequence[RegistryStanding]) -> Alarm | None:
    """Return the alarm about registries whose copies are stale or soon will be; None when there is none."""
    warnings = " ".join(one.warning for one in sorted(found, key=lambda one: not one.stale) if one.warning)
    if not warnings:
        return None
    return Alarm(STALE if any(one.stale for one in found) else STALE_SOON, warnings)


def alarm_of(
    live: LiveProjection, lease_ms: int, why: str, lag: Lag, at: datetime, *, terms_lost: bool = False
) -> Alarm | None:
    """Judge the state of Redis (`live`, and the rest of the lease) at `at` (aware UTC).

    `why` is the slug that says why Redis does not hold the recorded projection; empty when it does.
    """
    if why == FOREIGN:
        return Alarm(NO_CALLS, f"{as_sentence(str(ForeignHistory(live.written.mark)))}{_waiting(lag)}")
    if why:
        return Alarm(NO_CALLS, f"{as_sentence(str(live.trouble(why)))}{_waiting(lag)}")
    if terms_lost:
        return Alarm(NO_CALLS, f"{TERMS_LOST}{_waiting(lag)}")
    if lease_ms == NO_LEASE:
        return Alarm(NO_CALLS, f"No worker keeps Redis current. Make sure that `dnc-admin worker` runs.{_waiting(lag)}")
    waited_s = (at - lag.since).total_seconds() if lag.since else 0.0
    if waited_s < PENDING_S:
        return None
    ends = "" if lease_ms == NEVER_ENDS else f" Calls are stopped in {lease_ms / 1000:.0f} s unless they reach it."
    return Alarm(NOT_IN_FORCE, f"{_counted(lag)} not reached Redis for {waited_s:.0f} s.{ends}")


def _waiting(lag: Lag) -> str:
    return f" {_counted(lag)} not reached Redis yet." if lag.pending else ""


def _counted(lag: Lag) -> str:
    return "One change has" if lag.pending == 1 else f"{lag.pending:,} changes have"
