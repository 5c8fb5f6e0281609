"""Work that many wait for at once, done once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable


class Shared:
    """Calls `work` so that each caller's wish is served by a run that began after it was made.

    While a run is under way, all who come wait together for the one next run, and share its success or failure.
    """

    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        self._work = work
        self._lock = asyncio.Lock()
        self._wishes = 0
        self._served = 0
        self._failure: Exception | None = None

    async def __call__(self) -> None:
        """Have the work done; raises what it raises."""
        self._wishes += 1
        mine = self._wishes
        async with self._lock:
            if self._served < mine:
                await self._run()
            if self._failure is not None:
                raise self._failure

    async def _run(self) -> None:
        """Run once for all who wait now. A cancelled run serves nobody: the next in line runs it anew."""
        waiting = self._wishes
        try:
            await self._work()
        except Exception as failure:  # noqa: BLE001 - it is raised again for each who waits
            self._failure = failure
        else:
            self._failure = None
        self._served = waiting
