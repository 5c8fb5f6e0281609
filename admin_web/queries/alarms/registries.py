"""The alarm about registries whose copies are too old."""

from collections.abc import Sequence

from admin_web.queries.alarms.kind import Alarm
from admin_web.queries.registries import RegistryStanding

STALE = "A registry is stale."
STALE_SOON = "A registry will soon be stale."


def alarm_of_registries(found: Sequence[RegistryStanding]) -> Alarm | None:
    """Return the alarm about registries whose copies are stale or soon will be; None when there is none."""
    warnings = " ".join(one.warning for one in sorted(found, key=lambda one: not one.stale) if one.warning)
    if not warnings:
        return None
    return Alarm(STALE if any(one.stale for one in found) else STALE_SOON, warnings)
