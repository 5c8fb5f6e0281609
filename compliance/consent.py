"""Documented consent: its grounds, how long it lasts, what is attested, and who may place it."""

from calendar import monthrange
from datetime import datetime
from enum import StrEnum

MONTHS = 12
"""An override ends after twelve calendar months; renewing it takes a new document."""

ATTESTATION = (
    "I confirm that documented consent to call this person exists, that the attached document shows it, "
    "and that I understand that a false statement is my responsibility."
)
"""What the person ticks. The text is stored with each override, so that a later wording changes no earlier one."""


class Basis(StrEnum):
    """The ground of the consent."""

    SIGNED_CONSENT = "signed-consent"
    WRITTEN_CONSENT = "written-consent"
    EXISTING_RELATIONSHIP = "existing-relationship"
    OTHER = "other"


class Role(StrEnum):
    """What a person is to the system; each person has one."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    AUDITOR = "auditor"


def may_override(role: Role) -> bool:
    """Tell whether a person of this role may place a consent override."""
    return role in {Role.SUPERVISOR, Role.ADMIN}


def may_revoke(role: Role) -> bool:
    """Tell whether a person of this role may review and revoke overrides, and lift entries."""
    return role is Role.ADMIN


def ends_at(placed_at: datetime) -> datetime:
    """Give the moment at which an override placed at `placed_at` (aware UTC) ends: twelve calendar months on.

    29 February ends on 28 February, never on 1 March: consent is not stretched by the calendar.
    """
    year = placed_at.year + MONTHS // 12
    day = min(placed_at.day, monthrange(year, placed_at.month)[1])
    return placed_at.replace(year=year, day=day)
