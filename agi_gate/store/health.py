"""How it stands with a Redis, as the gate last heard it: whether calls can be allowed, and if not, why."""

from dataclasses import dataclass

from compliance.facts import State, doubt


@dataclass(slots=True)
class Health:
    """What the link knows of its Redis, for metrics and readiness."""

    connected: bool = False
    trouble: str = "not connected yet"
    server: str = ""
    state: State | None = None
    leased: bool = False
    connects: int = 0
    termless: State | None = None

    @property
    def doubt(self) -> str:
        """Why no call can be allowed now; empty when calls can. `termless` is the state whose terms Redis lacked."""
        return self.trouble or doubt(self.state, self.server, leased=self.leased) or self._lack()

    def _lack(self) -> str:
        lacking, state = self.termless, self.state
        same = lacking and state and (lacking.generation, lacking.terms) == (state.generation, state.terms)
        return "no-terms" if same else ""
