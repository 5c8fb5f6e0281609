"""Time zones: reading their names, and the moments at which days begin and end in them."""

import os
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from compliance.refusal import Refused

LONGEST = 64
"""The maximum length of a name. The longest in use has 32 characters."""

PLACES = (
    "Africa/", "America/", "Antarctica/", "Arctic/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/",
    "Pacific/",
)  # fmt: skip
LOCALTIME = Path("/etc/localtime")
NOT_ZONES = {"Factory", "localtime"}
"""Names of files beside the zones. They mean "not configured" and "the zone of this machine"."""


class UnknownZone(Refused):
    """This is not the name of a time zone."""


QUARTER = timedelta(minutes=15)
"""Offsets from UTC are multiples of it, in India half an hour, in Nepal three quarters. So it divides every day."""


def named(name: str) -> tzinfo:
    """Return the time zone with a name such as `America/New_York`. Raises UnknownZone.

    The name is looked up in a set. `ZoneInfo` would take it as the path of a file.
    """
    if name in {"UTC", "Etc/UTC"}:  # Also on a machine without a database of time zones.
        return UTC
    if len(name) > LONGEST or name not in _names():
        raise UnknownZone("There is no such time zone. Choose one such as America/New_York or Europe/Berlin.")
    return ZoneInfo(name)


def choices() -> list[str]:
    """Return the names that people choose from: UTC and one or more for each country, by name."""
    return ["UTC", *sorted(name for name in _names() if name.startswith(PLACES))]


def of_machine() -> tzinfo:
    """Return the time zone of this machine, by `TZ` or `/etc/localtime`; UTC if neither names a known one."""
    where = os.environ.get("TZ") or str(LOCALTIME.resolve()).rpartition("zoneinfo/")[2]
    try:
        return named(where.removeprefix(":"))
    except UnknownZone:
        return UTC


def start_of(on: date, zone: tzinfo) -> datetime:
    """Return the moment (aware UTC) at which a day begins. If clocks skip midnight, it begins when they do so.

    Raises OverflowError at the ends of the calendar.
    """
    return datetime.combine(on, time(), zone).astimezone(UTC)


def end_of(on: date, zone: tzinfo) -> datetime:
    """Return the moment (aware UTC) at which a day ends, which is the beginning of the next one.

    A day on which clocks change has 23 or 25 hours. Raises OverflowError at the ends of the calendar.
    """
    return start_of(on + timedelta(days=1), zone)


def quarter_of(at: datetime) -> datetime:
    """Return the beginning of the quarter of an hour that a moment (aware UTC) is in."""
    return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


@cache
def alike(one: tzinfo, other: tzinfo) -> bool:
    """Return whether two zones have the same days from 1990 to 2040, as a zone and its former name do.

    Chromium, for example, calls Asia/Kolkata Asia/Calcutta.
    """
    first = datetime(1990, 1, 1, 12, tzinfo=UTC)
    noons = (first + timedelta(days=number) for number in range(50 * 365))
    return all(noon.astimezone(one).utcoffset() == noon.astimezone(other).utcoffset() for noon in noons)


@cache
def _names() -> frozenset[str]:
    """Return every name. Finding them takes a tenth of a second, because each file of the database is opened."""
    return frozenset(available_timezones() - NOT_ZONES)
