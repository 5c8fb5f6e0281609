"""Whether calls are back: numbers that are never listed are allowed again, by every gate and on every shard."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from compliance.cluster import SLOTS
from compliance.numbers import E164
from compliance.redis_schema import slot_of_number
from tests.faults.harness.history import ALLOW, Call
from tests.faults.harness.pool import FREE

PARTS = 3
"""Parts of the slots that are watched each for itself: as many as a cluster has masters."""

IN_A_ROW = 3

_PART = {number: slot_of_number(E164(number)) * PARTS // SLOTS for number in FREE}


@dataclass
class Watch:
    """Counts the allowed calls in a row to numbers that no list has, for each gate and part of the slots."""

    gates: Iterable[str]
    _allowed: dict[tuple[str, int], int] = field(default_factory=dict)
    _since: int = 0
    calls: int = 0

    def see(self, call: Call) -> None:
        """Take a call that is over."""
        self.calls += 1
        part = _PART.get(call.number)
        if part is None or call.invoked < self._since:
            return
        spot = call.gate, part
        self._allowed[spot] = self._allowed.get(spot, 0) + 1 if call.verdict == ALLOW else 0

    def forget(self, since: int) -> None:
        """Count only calls that are invoked after `since`."""
        self._since = since
        self._allowed = {}

    def back(self) -> bool:
        """Return whether calls are back everywhere."""
        spots = [(gate, part) for gate in self.gates for part in range(PARTS)]
        return all(self._allowed.get(spot, 0) >= IN_A_ROW for spot in spots)
