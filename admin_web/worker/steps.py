"""The steps of the worker's loops."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from admin_web.projection.clock_watch import WATCH_S
from admin_web.record.steady_clock import SteadyClock

Step: TypeAlias = Callable[[], Awaitable[float]]
"""One step of a loop; it returns the seconds to wait before the next."""


def by_a_right_clock(clock: SteadyClock, step: Step) -> Step:
    """Return the step of a loop that deletes what is old, or records an end: it waits while the clock is wrong."""

    async def waiting() -> float:
        return await step() if clock.right else WATCH_S

    return waiting
