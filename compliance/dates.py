"""The one style of dates for people: `3 Nov 2026` and `3 Nov 2026 14:05`. Machines get ISO 8601 instead.

`%b` depends on the locale of the process, so the months are spelled here.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, tzinfo

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_DAY = rf"(\d{{1,2}}) ({'|'.join(MONTHS)}) (\d{{4}})"
_WRITTEN = re.compile(rf"{_DAY}(?: (\d{{2}}):(\d{{2}})(?::(\d{{2}}))?)?", re.ASCII)
_UTC = re.compile(rf"\b{_DAY} (\d{{2}}):(\d{{2}}) UTC\b", re.ASCII)


def day(on: date) -> str:
    """Return a day: `3 Nov 2026`."""
    return f"{on.day} {MONTHS[on.month - 1]} {on.year}"


def moment(at: datetime, zone: tzinfo, *, seconds: bool = False) -> str:
    """Return a moment (aware) as the clocks of a zone show it: `3 Nov 2026 14:05`.

    In the hours that the clocks show twice, the offset follows: `25 Oct 2026 02:30 +01:00`. A moment at the ends of
    the calendar, which the zone cannot show, stays as it is.
    """
    local = local_to(at, zone)
    shown = f"{day(local)} {local:%H:%M:%S}" if seconds else f"{day(local)} {local:%H:%M}"
    return f"{shown} {offset(local)}" if _is_shown_twice(local) else shown


def local_to(at: datetime, zone: tzinfo) -> datetime:
    """Return a moment in a zone; unchanged if it is so near the ends of the calendar that the zone cannot show it."""
    try:
        return at.astimezone(zone)
    except OverflowError:
        return at


def utc(at: datetime) -> str:
    """Return a moment (aware) for a message: `3 Nov 2026 14:05 UTC`. Pages show it in the zone of their reader."""
    return f"{moment(at, UTC)} UTC"


def offset(local: datetime) -> str:
    """Return the offset of an aware moment from UTC: `+01:00`."""
    text = local.strftime("%z")
    return f"{text[:3]}:{text[3:5]}"


def read(text: str) -> date | None:
    """Read a day, or a moment without a zone, in the style of this module. Return None for anything else."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    number, month, year, hour, minute, second = found.groups()
    try:
        on = date(int(year), MONTHS.index(month) + 1, int(number))
        return on if hour is None else datetime(*on.timetuple()[:3], int(hour), int(minute), int(second or 0))  # noqa: DTZ001
    except ValueError:  # There is no such day, such as 31 Feb.
        return None


def parts(message: str) -> Iterator[str | datetime]:
    """Yield the parts of a message in their order: each moment that `utc` has written, and the text between."""
    end = 0
    for found in _UTC.finditer(message):
        number, month, year, hour, minute = found.groups()
        try:
            at = datetime(int(year), MONTHS.index(month) + 1, int(number), int(hour), int(minute), tzinfo=UTC)
        except ValueError:
            continue
        yield message[end : found.start()]
        yield at
        end = found.end()
    yield message[end:]


def _is_shown_twice(local: datetime) -> bool:
    """Return whether clocks show this time before and after they go back."""
    return local.replace(fold=0).utcoffset() > local.replace(fold=1).utcoffset()  # type: ignore[operator]
