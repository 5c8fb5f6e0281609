"""The facts of one call, by which the rule judges it."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from compliance.numbers import E164, LeadId
from compliance.terms import Applying


class State(NamedTuple):
    """Which build of the projection is live, on which server process it was verified, and which lists it covers.

    `changes` counts the changes applied to the build. A reader compares two counts to see whether anything changed in
    between. `terms` is the digest of the terms.
    """

    generation: int
    incarnation: str
    lists: tuple[str, ...]
    changes: int
    terms: str = ""


@dataclass(frozen=True, slots=True)
class LiveOverride:
    """A consent that allows calls to one lead on one number until `expires_at` (aware UTC, exclusive)."""

    id: str
    basis: str
    expires_at: datetime


class Facts(NamedTuple):
    """The facts of a call to `number` for `lead` at this moment.

    `server` is the incarnation of the Redis process that answered. `leased` is whether the projection has a live lease,
    which the worker renews while it keeps the projection current. `applying` holds what the terms say about
    the number; it is None if the terms are not known. `campaign` is empty if the PBX named none. Pages and the dial
    queue judge without a campaign. `closed` says as a slug why no override may open a call now; it is empty if one may.
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
    closed: str = ""

    def doubt(self) -> str:
        """Return why these facts cannot be relied on, as a slug; empty when they can."""
        return doubt(self.state, self.server, leased=self.leased) or ("" if self.applying else "no-terms")

    def opened(self, at: datetime) -> LiveOverride | None:
        """Return the lead's override if it is live at `at` (aware UTC), else None."""
        if self.lead and self.override and not self.closed and at < self.override.expires_at:
            return self.override
        return None


def doubt(state: State | None, server: str, *, leased: bool) -> str:
    """Return why a projection cannot be relied on, as a slug; empty when it can.

    A set that is missing in Redis looks like "not listed". So an empty Redis must never allow a call.
    """
    if state is None:
        return "no-state"
    if state.incarnation != server:
        return "other-incarnation"
    return "" if leased else "no-lease"
