"""What is known of one call when the rule judges it."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from compliance.numbers import E164, LeadId
from compliance.terms import Applying


class State(NamedTuple):
    """Which build of the projection is live, on which server process it was verified, and which lists it covers.

    `changes` counts the changes applied to it: a reader compares it to see whether anything moved. `terms` is the
    digest of the terms of its registries.
    """

    generation: int
    incarnation: str
    lists: tuple[str, ...]
    changes: int
    terms: str = ""


@dataclass(frozen=True, slots=True)
class LiveOverride:
    """The consent that opens one lead on one number until `expires_at` (aware UTC, exclusive)."""

    id: str
    basis: str
    expires_at: datetime


class Facts(NamedTuple):
    """What is known of a call to `number` for `lead` at this moment.

    `server` is the run id of the Redis process that answered. `leased` is whether the projection is kept current.
    `applying` holds what the registries' terms say of the number; None when the terms are not known. `campaign` is
    empty when the PBX named none; the site always judges a call of no campaign.
    """

    number: E164
    lead: LeadId | None
    server: str
    state: State | None
    leased: bool
    listed: tuple[str, ...] = ()
    override: LiveOverride | None = None
    applying: Applying | None = None
    campaign: str = ""

    def doubt(self) -> str:
        """Return why these facts cannot be relied on, as a slug; empty when they can."""
        return doubt(self.state, self.server, leased=self.leased) or ("" if self.applying else "no-terms")

    def opened(self, at: datetime) -> LiveOverride | None:
        """Return the override that opens this lead at `at` (aware UTC); None when there is none."""
        if self.lead and self.override and at < self.override.expires_at:
            return self.override
        return None


def doubt(state: State | None, server: str, *, leased: bool) -> str:
    """Return why a projection cannot be relied on, as a slug; empty when it can.

    A set that is missing in Redis reads as "not listed", so an empty Redis must never count as permission to call.
    """
    if state is None:
        return "no-state"
    if state.incarnation != server:
        return "other-incarnation"
    return "" if leased else "no-lease"
