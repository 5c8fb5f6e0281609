"""Whether calls are back: numbers that are never listed are allowed again, by every gate and on every shard."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.faults.harness.history import ALLOW, Call
from tests.faults.harness.parts import PARTS, part_of
from tests.faults.harness.pool import FREE

IN_A_ROW = 3

_FREE = frozenset(FREE)


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
        if call.number not in _FREE or call.invoked < self._since:
            return
        spot = call.gate, part_of(call.number)
        self._allowed[spot] = self._allowed.get(spot, 0) + 1 if call.verdict == ALLOW else 0

    def forget(self, since: int) -> None:
        """Count only calls that are invoked after `since`."""
        self._since = since
        self._allowed = {}

    def back(self) -> bool:
        """Return whether calls are back everywhere."""
        spots = [(gate, part) for gate in self.gates for part in range(PARTS)]
        return all(self._allowed.get(spot, 0) >= IN_A_ROW for spot in spots)
