"""A time in which the harness stood still becomes an event."""

import asyncio
import time

from tests.faults.harness.history import Stalled
from tests.faults.harness.stalls import LONGEST_TICK_S, watch_stalls


def stand_still() -> None:
    time.sleep(LONGEST_TICK_S * 3)


async def test_a_loop_that_stood_still_is_recorded_with_its_time():
    over, stalls = asyncio.Event(), list[Stalled]()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch_stalls(over, stalls.append))
        await asyncio.sleep(0)
        began = time.monotonic_ns()
        stand_still()
        ended = time.monotonic_ns()
        await asyncio.sleep(0.05)
        over.set()
    assert any(stall.began <= began and ended <= stall.ended for stall in stalls)


async def test_nothing_is_recorded_once_the_run_is_over():
    over, stalls = asyncio.Event(), list[Stalled]()
    over.set()
    await watch_stalls(over, stalls.append)
    assert stalls == []
