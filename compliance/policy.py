"""The whole rule, on one screen: what is known of a number, and whether it may be dialled for a lead."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from compliance import verdict
from compliance.numbers import E164, InvalidNumber, LeadId
from compliance.terms import Applying
from compliance.verdict import Ruling, Verdict, allow, block


class State(NamedTuple):
    """Which build of the projection is live, on which server process it was verified, and what it covers.

    `changes` counts the changes applied to it, so that a reader can tell whether anything moved meanwhile. `terms` is
    the digest of the terms of its registries.
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
    """What Redis knows of `number`, for `lead`, at this moment.

    `server` is the run id of the process that answered; `leased` tells whether the projection is kept current.
    `applying` is what the registries' terms say of the number; None when they are not known.
    """

    number: E164
    lead: LeadId | None
    server: str
    state: State | None
    leased: bool
    listed: tuple[str, ...] = ()
    override: LiveOverride | None = None
    applying: Applying | None = None

    def doubt(self) -> str:
        """Say why these facts cannot be relied on, as a slug; empty when they can."""
        return doubt(self.state, self.server, leased=self.leased) or ("" if self.applying else "no-terms")


def doubt(state: State | None, server: str, *, leased: bool) -> str:
    """Say why a projection cannot be relied on, as a slug; empty when it can.

    A missing set reads as "not listed" in Redis, so emptiness must never look like freedom.
    """
    if state is None:
        return "no-state"
    if state.incarnation != server:
        return "other-incarnation"
    return "" if leased else "no-lease"


def decide(number: E164 | InvalidNumber, facts: Facts | None, at: datetime) -> Ruling:
    """Judge one call at `at` (aware UTC). `facts` is None when Redis could not be asked.

    Order: invalid number, state not verified, listed, registry stale, registry uncovered, not listed. What blocks
    because of a list, or for want of one, a live override of this lead opens: whatever a registry would have said of
    the number, the override outweighs it.
    """
    if isinstance(number, InvalidNumber):
        return block(verdict.INVALID_NUMBER, number.reason)
    if facts is None:
        return block(verdict.STORE_UNAVAILABLE)
    if facts.number != number:
        return block(verdict.INTERNAL_ERROR, "facts-of-another-number")
    if (why := facts.doubt()) or facts.applying is None:
        return block(verdict.STATE_UNVERIFIED, why)
    ruling = block(verdict.listed_on(facts.listed[0])) if facts.listed else facts.applying.unlisted(at)
    if ruling.verdict is Verdict.BLOCK and facts.lead and facts.override and at < facts.override.expires_at:
        return allow(verdict.OVERRIDE, override=facts.override.id)
    return ruling
