"""The end of an entry that ends by itself, as people write it: a day, or a moment with its offset from UTC."""

import re
from datetime import UTC, date, datetime, timedelta

from compliance.consent_rules import ConsentRules
from compliance.refusal import Refused

LONGEST = timedelta(days=36_525)
"""Maximum time from now to an end: 100 years. A later one is a typing error."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]{5,15}(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})", re.ASCII)


class EndRefused(Refused):
    """The end of an entry cannot be read, is too far away, or would end a person's own request."""


class EndPassed(EndRefused):
    """The end of an entry has passed."""


def request_with_end(request: str) -> EndRefused:
    """Return the refusal of an end beside a person's request. `request` names what makes it a request."""
    return EndRefused(
        "A person's own request not to be called never ends. To record a request, leave out the end. To block the "
        f"number for a while, leave out {request}."
    )


def end_in(text: str, rules: ConsentRules, at: datetime) -> datetime:
    """Return the moment (aware UTC) at which an entry ends, from a day or a moment, as of `at` (aware UTC).

    An entry stays in force through its day, in the installation's time zone. Raises EndRefused, EndPassed.
    """
    moment = _moment_in(text.strip(), rules)
    if moment is None:
        raise EndRefused(f"{text[:40]!r} is no end: write a day as 2026-12-31, or a moment as 2026-12-31T18:00:00Z.")
    require_to_come(moment, at)
    return moment


def require_to_come(moment: datetime, at: datetime) -> None:
    """Raise EndPassed or EndRefused unless an end (aware UTC) is later than `at`, and not absurdly late."""
    if moment <= at:
        raise EndPassed(f"The end, {moment:%Y-%m-%d %H:%M} UTC, has passed.")
    if moment > at + LONGEST:
        raise EndRefused(f"The end, {moment:%Y-%m-%d}, is more than 100 years away. Leave it out for no end.")


def end_in_words(ends_at: datetime | None) -> str:
    """Return an end for a message; empty for no end."""
    return f" until {ends_at:%Y-%m-%d %H:%M} UTC" if ends_at else ""


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the end that holds if a number is listed twice. None, which is no end, outlives every end."""
    return None if one is None or other is None else max(one, other)


def _moment_in(text: str, rules: ConsentRules) -> datetime | None:
    try:
        if _DAY.fullmatch(text):
            return rules.begin_of(date.fromisoformat(text) + timedelta(days=1))
        return datetime.fromisoformat(text.upper()).astimezone(UTC) if _MOMENT.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None
