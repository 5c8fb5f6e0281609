"""Documented consent: its bases, its duration, the attestation, and who may place or revoke an override."""

from calendar import monthrange
from datetime import datetime
from enum import StrEnum

MONTHS = 12
"""Calendar months after which an override ends. A renewal needs a new document."""

ATTESTATION = (
    "I confirm that documented consent to call this person exists, that the attached document shows it, "
    "and that I understand that a false statement is my responsibility."
)
"""The statement that the person ticks. It is stored with each override, so a new wording changes no older override."""


class Basis(StrEnum):
    """The ground of the consent."""

    SIGNED_CONSENT = "signed-consent"
    WRITTEN_CONSENT = "written-consent"
    EXISTING_RELATIONSHIP = "existing-relationship"
    OTHER = "other"


class Role(StrEnum):
    """The role of a person; each person has exactly one."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    AUDITOR = "auditor"


def may_override(role: Role) -> bool:
    """Return whether a person of this role may place a consent override."""
    return role in {Role.SUPERVISOR, Role.ADMIN}


def may_revoke(role: Role) -> bool:
    """Return whether a person of this role may review and revoke overrides, and lift entries."""
    return role is Role.ADMIN


def ends_at(placed_at: datetime) -> datetime:
    """Return the end of an override that was placed at `placed_at` (aware UTC): twelve calendar months later.

    An override that was placed on 29 February ends on 28 February. An end on 1 March would extend the consent by a day.
    """
    year = placed_at.year + MONTHS // 12
    day = min(placed_at.day, monthrange(year, placed_at.month)[1])
    return placed_at.replace(year=year, day=day)
