"""The health of the link to one Redis: whether the gate can allow calls over it now, and if not, why."""

from dataclasses import dataclass

from compliance.clocks import TOLERATED_S
from compliance.facts import State, doubt

CLOCK_BEHIND, CLOCK_UNKNOWN = "clock-behind", "clock-unknown"


@dataclass(slots=True)
class Health:
    """The last known state of the link and its Redis, for readiness and metrics.

    `clock_behind_s` says by how many seconds this machine's clock is behind that of Redis; None if this is not known.
    `trouble` says why Redis cannot be used: there is no connection, or nothing was read over it yet.
    `state_without_terms` is a state whose terms were missing in Redis.
    `looked` says whether the state was read over the present connection, even if there was none.
    `confirmed` says whether the server was known to be the master after its replicas were counted.
    `unrecorded` says why Redis would refuse the record of a call.
    """

    connected: bool = False
    trouble: str = "not connected yet"
    server: str = ""
    state: State | None = None
    leased: bool = False
    connects: int = 0
    looked: bool = False
    state_without_terms: State | None = None
    confirmed: bool = True
    unrecorded: str = ""
    clock_behind_s: float | None = None

    @property
    def settled(self) -> bool:
        """Whether everything is known that the gate needs to allow calls."""
        return self.looked and self.confirmed

    @property
    def clock_doubt(self) -> str:
        """The reason why no override may open a call now, as a slug; empty if overrides may."""
        if self.clock_behind_s is None:
            return CLOCK_UNKNOWN
        return CLOCK_BEHIND if self.clock_behind_s > TOLERATED_S else ""

    @property
    def doubt(self) -> str:
        """The reason why the gate cannot allow calls now; empty if it can."""
        unverified = doubt(self.state, self.server, leased=self.leased) or self._without_terms()
        unsure = "" if self.confirmed else "master-not-confirmed"
        return self.trouble or unverified or unsure or self.unrecorded

    def _without_terms(self) -> str:
        lacking, state = self.state_without_terms, self.state
        same = lacking and state and (lacking.generation, lacking.terms) == (state.generation, state.terms)
        return "no-terms" if same else ""
