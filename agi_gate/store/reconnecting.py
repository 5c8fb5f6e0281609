"""The pauses between attempts to connect to Redis."""

import random
from time import monotonic

RECONNECT_S = (0.0, 0.02, 0.05, 0.1, 0.25)
"""Seconds to wait before each attempt to reconnect. The last value repeats, until a connection has served."""

SERVED_S = 0.25
"""Seconds for which Redis must have returned its state, before a lost connection is replaced without a pause again.

A server that loads its data, or refuses this user its keys, accepts a connection and its handshake. Another may close
each connection soon after it has served.
"""

JITTER = 0.25
"""Share of a pause by which it is longer or shorter, so that gates do not come back to a Redis at the same moment."""


def pause_s(attempt: int) -> float:
    """Return the seconds to wait before an attempt. The first one is 0."""
    return RECONNECT_S[min(attempt, len(RECONNECT_S) - 1)] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311


def has_served(since: float | None) -> bool:
    """Return whether a connection has served. `since` is the monotonic time at which it first did."""
    return since is not None and monotonic() - since >= SERVED_S
