"""The numbers of a lead: several, each judged by itself. The first one is the one that is dialled first."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from sqlalchemy import delete, insert

from admin_web.record.changes import Change
from admin_web.record.lead_numbers import LabelledNumber
from admin_web.record.models import Lead, LeadNumber
from compliance.numbers import E164
from compliance.refusal import Refused

MOST_NUMBERS = 10
"""Maximum number of telephone numbers of one lead."""


class Label(StrEnum):
    """What a number of a lead is."""

    HOME = "home"
    MOBILE = "mobile"
    WORK = "work"
    OTHER = "other"


class TooManyNumbers(Refused):
    """A lead would get no number, or too many."""


class NotANumberOfLead(Refused):
    """The lead does not have this number."""


def distinct(numbers: Iterable[LabelledNumber]) -> tuple[LabelledNumber, ...]:
    """Return the numbers of a lead, each once, where it stands first. Raises TooManyNumbers."""
    kept: dict[E164, LabelledNumber] = {}
    for one in numbers:
        kept.setdefault(one.number, one)
    if not 1 <= len(kept) <= MOST_NUMBERS:
        raise TooManyNumbers(f"A lead has 1 to {MOST_NUMBERS} numbers, not {len(kept)}.")
    return tuple(kept.values())


def with_first(numbers: Sequence[LabelledNumber], first: E164) -> tuple[LabelledNumber, ...]:
    """Return the numbers of a lead after its first number has changed to `first`. The others stay."""
    known = next((one for one in numbers if one.number == first), LabelledNumber(first))
    return (known, *(one for one in numbers[1:] if one.number != first))


async def write_numbers(
    change: Change, row: Lead, had: Sequence[LabelledNumber], numbers: Sequence[LabelledNumber]
) -> None:
    """Write the numbers of a lead, whose row must be locked."""
    row.number, row.number_label = numbers[0]
    if had[1:] != numbers[1:]:
        await change.session.execute(delete(LeadNumber).where(LeadNumber.lead_id == row.id))
        await add_further(change, {row.id: numbers})


async def add_further(change: Change, numbers: dict[str, Sequence[LabelledNumber]]) -> None:
    """Add the numbers of leads beside their first ones."""
    rows = [
        {"lead_id": lead, "number": one.number, "label": one.label, "position": position}
        for lead, some in numbers.items()
        for position, one in enumerate(some[1:], start=1)
    ]
    if rows:
        await change.session.execute(insert(LeadNumber), rows)
