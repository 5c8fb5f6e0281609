"""Parsing of filter fields: numbers in any spelling, and moments in the time zone of the reader."""

import re
from datetime import UTC, date, datetime, tzinfo

from admin_web.site.forms import Form
from compliance import dates, zones
from compliance.numbers import E164, InvalidNumber, normalize

LONGEST = 200
"""Characters of a filter that are read; the rest is ignored."""

EXAMPLE = "23 Nov 2026"

LOST_PLUS = re.compile(r"(T\d\d:\d\d\S*) (\d\d:?\d\d)$", re.ASCII)
"""The offset of a moment in an address. There a plus sign means a space, unless it is percent-encoded."""


def short(form: Form, name: str) -> str:
    """Return a filter's text, limited in length and without unprintable characters, which databases reject."""
    return "".join(character for character in form.text(name)[:LONGEST] if character.isprintable())


def number(form: Form, name: str, region: str) -> E164 | None:
    """Read a number in any spelling. Record an error, and return None, for text that is no number."""
    if not (written := short(form, name)):
        return None
    try:
        return normalize(written, region)
    except InvalidNumber:
        form.errors[name] = "This is not one telephone number. Write it as you dial it, or with + and country code."
        return None


def not_one_number(error: InvalidNumber) -> str:
    """Return why a text is no number that can be listed. An emergency number is one, so the message says only that."""
    return str(error) if error.reason == "emergency" else f"This is not one telephone number. {error}"


def moment(form: Form, name: str, zone: tzinfo, *, end: bool = False) -> datetime | None:
    """Read a moment, and return it in UTC: a day or a time of `zone`, or a moment with an offset of its own.

    For a day, return its start or, with `end`, its end. If clocks show a time twice, the period includes both. Record
    an error, and return None, for anything else.
    """
    if not (written := short(form, name)):
        return None
    try:
        return _moment(written, zone, end=end)
    except (ValueError, OverflowError):
        form.errors[name] = f"Write a day, such as {EXAMPLE}, or a day and time, such as {EXAMPLE} 14:05."
        return None


def _moment(written: str, zone: tzinfo, *, end: bool) -> datetime:
    """Read what `moment` reads. Raises ValueError, OverflowError."""
    read = dates.read(written) or _iso(written)
    if not isinstance(read, datetime):
        return zones.end_of(read, zone) if end else zones.start_of(read, zone)
    if read.tzinfo is None:
        read = read.replace(tzinfo=zone, fold=int(end))
    return read.astimezone(UTC)


def _iso(written: str) -> date:
    """Read a day or a moment in ISO 8601. Raises ValueError."""
    try:
        return date.fromisoformat(written)
    except ValueError:
        return datetime.fromisoformat(LOST_PLUS.sub(r"\1+\2", written))
