"""The state of each loop of the worker: its failures, for the log, and its progress."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic, time

import structlog

RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds to wait after consecutive failures; the last value repeats."""

ARCHIVE_RETRY_S = 0.5
"""The longest such wait for the archive: decisions that are not archived yet are in Redis alone."""

STALLED_S = 30.0
"""Seconds without a successful step after which a loop that calls depend on counts as stalled."""

ARCHIVE = "archive"

CALLS_DEPEND_ON = ("redis", "projection", ARCHIVE)
"""Beginnings of the names of loops without which calls stop, or are no longer archived."""

log = structlog.get_logger()


def retry_s(failures: int) -> float:
    """Return the seconds to wait after some consecutive failures, at least one."""
    return RETRY_S[min(failures, len(RETRY_S)) - 1]


@dataclass(slots=True)
class LoopState:
    """The state of one loop: its current failure, the number of its steps, and when the last one succeeded."""

    name: str
    clock: Callable[[], float] = monotonic
    trouble: str = ""
    steps: int = 0
    failures: int = 0
    succeeded_at: float = 0.0
    _begun: float = field(init=False)
    _met: int = 0

    def __post_init__(self) -> None:
        self._begun = self.clock()

    @property
    def calls_depend_on_it(self) -> bool:
        """Whether calls stop, or are no longer archived, without this loop."""
        return self.name.startswith(CALLS_DEPEND_ON)

    def fail(self, error: Exception) -> float:
        """Record a failure. It is logged when it changes. Return the seconds to wait before the retry."""
        trouble = str(error) or type(error).__name__
        if trouble != self.trouble:
            log.warning("loop delayed", loop=self.name, trouble=trouble)
        self.trouble = trouble
        self.failures += 1
        self._met += 1
        wait_s = retry_s(self._met)
        return min(wait_s, ARCHIVE_RETRY_S) if self.name.startswith(ARCHIVE) else wait_s

    def succeed(self) -> None:
        """Record a success."""
        if self._met:
            log.info("loop resumed", loop=self.name)
        self.trouble, self._met = "", 0
        self.steps += 1
        self._begun, self.succeeded_at = self.clock(), time()

    @property
    def doubt(self) -> str:
        """Why this loop does not work; empty if it does. It contains no address and no path."""
        if self.trouble:
            return f"{self.name}: delayed; the log of the worker says why"
        if not self.steps:
            return f"{self.name}: not run yet"
        silent_s = self.clock() - self._begun
        return f"{self.name}: no step has ended for {silent_s:.0f} s" if silent_s > STALLED_S else ""


class LoopStates:
    """The states of all loops. Loops of a shard that no longer exists are forgotten."""

    def __init__(self) -> None:
        self._loops: dict[str, LoopState] = {}

    def __iter__(self) -> Iterator[LoopState]:
        """Iterate over the state of each loop."""
        return iter(self._loops.values())

    def of(self, name: str) -> LoopState:
        """Return the new state of a loop that starts."""
        state = self._loops[name] = LoopState(name)
        return state

    def forget(self, name: str) -> None:
        """Forget a loop that has ended."""
        self._loops.pop(name, None)

    def doubts(self) -> Iterator[str]:
        """Yield what is wrong with the loops that calls depend on."""
        needed = [state for state in self if state.calls_depend_on_it]
        for beginning in CALLS_DEPEND_ON:
            if not any(state.name.startswith(beginning) for state in needed):
                yield f"{beginning}: not run yet"
        yield from filter(None, (state.doubt for state in needed))
