"""When a rebuild that failed is tried again."""

from collections.abc import Callable
from time import monotonic

from admin_web.projection.rebuild_outcome import SuspiciousDrop

REPEATED_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds to wait after a rebuild has failed in the same way once, twice and so on. The last value repeats.

What caused a failure is often over then, as when slots moved during the rebuild. Calls are stopped meanwhile, so the
first repetition comes at once.
"""

REFUSED_S = 60.0
"""Seconds to wait after a rebuild was refused. Only a person can change what it was refused for."""


class Retrying:
    """The moment from which a rebuild may be tried again."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._due = 0.0
        self._last: type[Exception] | None = None
        self._repeated = 0

    @property
    def is_due(self) -> bool:
        """Whether a rebuild may be tried now."""
        return self._clock() >= self._due

    def failed(self, error: Exception) -> None:
        """Note that a rebuild has failed."""
        self._repeated = self._repeated + 1 if type(error) is self._last else 0
        self._last = type(error)
        refused = isinstance(error, SuspiciousDrop)
        self._due = self._clock() + (REFUSED_S if refused else REPEATED_S[min(self._repeated, len(REPEATED_S) - 1)])

    def succeeded(self) -> None:
        """Note that a rebuild has succeeded, or that none is needed."""
        self._last, self._repeated, self._due = None, 0, 0.0
