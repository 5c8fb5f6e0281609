"""The alarm about a wrong clock, of a worker or of the site."""

from datetime import datetime

from admin_web.projection.live import LiveProjection
from admin_web.projection.wire import Wire
from admin_web.queries.alarms.kind import PATIENCE_S, Alarm
from compliance.clocks import TOLERATED_S

CLOCK = "A clock is wrong."
RECORDS_WAIT = "Until it is right, the worker records no end of an override or entry, and deletes nothing."
STAMPS = "Moments are recorded by it. Set both clocks."


async def clock_trouble(wire: Wire) -> str:
    """Return what a worker says about its clock; empty if it trusts it. Raises RedisUnavailable."""
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
