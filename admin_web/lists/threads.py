"""Work that would hold up the event loop, in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(work: Callable[..., Result], *given: object, pool: Executor | None = None) -> Result:
    """Run in a thread.

    A thread cannot be stopped, so a cancellation waits for its end; the sheet stays open until then.
    """
    running = asyncio.get_running_loop().run_in_executor(pool, partial(work, *given))
    try:
        return await asyncio.shield(running)
    finally:
        await asyncio.wait({running})
