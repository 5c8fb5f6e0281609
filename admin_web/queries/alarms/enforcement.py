"""The alarms about stopped calls, and about recorded changes that are not in force."""

from collections.abc import Sequence
from datetime import datetime

from admin_web.projection.health import NEVER_ENDS, NO_LEASE
from admin_web.projection.live import ForeignHistory, LiveProjection
from admin_web.projection.marks import FOREIGN
from admin_web.projection.outbox import Lag
from admin_web.queries.alarms.kind import Alarm
from admin_web.record.changes import public_words
from compliance.refusal import as_sentence

PENDING_S = 1.0
"""Seconds that a change may take to reach Redis before the banner mentions it."""

NO_CALLS = "Calls are stopped."
TERMS_LOST = (
    "Redis has lost the terms of the registries, so gates that have not loaded them yet block every call. "
    "The worker rebuilds the copy in Redis. You can also run `dnc-admin rebuild`."
)
NO_CALLS_OF_A_SHARD = "Calls to the numbers on one shard are stopped."
NOT_IN_FORCE = "Recorded, not yet in force."


def of_shard(alarm: Alarm, first_slot: int | None) -> Alarm:
    """Add to an alarm which shard of a cluster it is about. `first_slot` is None when Redis is not a cluster."""
    if first_slot is None:
        return alarm
    title = NO_CALLS_OF_A_SHARD if alarm.title == NO_CALLS else alarm.title
    return Alarm(title, f"Shard with the lowest slot {first_slot}: {alarm.text}")


def gravest(each: Sequence[Alarm | None]) -> Alarm | None:
    """Return the first alarm about stopped calls, or else the first one; None when there is none.

    While one shard is away, changes wait, and another shard may say so first.
    """
    found = [alarm for alarm in each if alarm]
    stopped = (alarm for alarm in found if alarm.title in {NO_CALLS, NO_CALLS_OF_A_SHARD})
    return next(stopped, found[0] if found else None)


def unreachable(error: Exception, lag: Lag) -> Alarm:
    """Return the alarm about a Redis that cannot be queried."""
    why = as_sentence(public_words(error) or "it does not answer")
    return Alarm(NO_CALLS, f"Redis cannot be queried: {why}{_waiting(lag)}")


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
