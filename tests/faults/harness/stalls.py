"""Notice when the harness itself stands still, so that the checker does not take its lateness for that of a gate."""

import asyncio
import time
from collections.abc import Callable

from tests.faults.harness.history import Stalled

TICK_S = 0.01
LONGEST_TICK_S = 0.05
"""An event loop that comes back later than this stood still: it had no processor, or was busy with something else."""


async def watch_stalls(over: asyncio.Event, record: Callable[[Stalled], None]) -> None:
    """Record each time in which the event loop stood still, until `over` is set. Run it in the loop of the callers."""
    while not over.is_set():
        before = time.monotonic_ns()
        await asyncio.sleep(TICK_S)
        now = time.monotonic_ns()
        if now - before > LONGEST_TICK_S * 1e9:
            record(Stalled(before, now))
