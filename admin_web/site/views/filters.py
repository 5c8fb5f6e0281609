"""Parsing of filter fields: numbers in any spelling, and moments in UTC."""

from datetime import UTC, datetime, time, timedelta

from admin_web.site.forms import Form
from compliance.numbers import E164, InvalidNumber, normalize

LONGEST = 200
"""Characters of a filter that are read; the rest is ignored."""

DAY = timedelta(days=1)


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


def moment(form: Form, name: str, *, end: bool = False) -> datetime | None:
    """Read a moment in UTC: `2026-11-23T14:05`, or a day.

    For a day, return the start of the day or, with `end`, the end.
    """
    if not (written := short(form, name)):
        return None
    try:
        read = datetime.fromisoformat(written)
        if read.tzinfo is not None:
            return read.astimezone(UTC)
        whole_day = end and len(written) == len("2026-11-23") and read.time() == time()
        return read.replace(tzinfo=UTC) + (DAY if whole_day else timedelta())
    except (ValueError, OverflowError):
        form.errors[name] = "Write a date, such as 2026-11-23, or a date and time, such as 2026-11-23T14:05."
        return None
