"""The alarms about differences between SQL and Redis: after a comparison, and after a backup was restored."""

from collections import Counter
from collections.abc import Sequence

from admin_web.projection.findings import Finding
from admin_web.queries.alarms.kind import Alarm

DRIFT = "Redis did not hold what is on record."
MENDED = (
    "The worker has put it right, and compares everything again; this disappears once nothing differs. "
    "Find out who else writes to Redis. The audit log and the log of the worker name the numbers."
)

RECOVERED = "Recovered from Redis."
LOOK_AT_IT = (
    "The database had lost changes that Redis still held. What either of them blocks is blocked. "
    "An admin must look at the differences: see Recoveries in the Compliance Monitor."
)


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
