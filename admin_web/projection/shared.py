"""Work that several callers request at the same time, and that runs only once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable


class Shared:
    """Calls `work` so that each call is served by a run that began after the call.

    Calls that arrive during a run all wait for the next run, and share its success or failure. If the run fails with
    `hopeless`, they fail with it at once, because the next run would only take as long to fail.
    """

    def __init__(self, work: Callable[[], Awaitable[object]], hopeless: type[Exception] | None = None) -> None:
        self._work, self._hopeless = work, hopeless
        self._lock = asyncio.Lock()
        self._calls = 0
        self._served = 0
        self._failure: Exception | None = None

    async def __call__(self) -> None:
        """Wait for a run of the work that begins after this call. Raises what the work raises."""
        self._calls += 1
        mine = self._calls
        async with self._lock:
            if self._served < mine:
                await self._run()
            if self._failure is not None:
                raise self._failure

    async def _run(self) -> None:
        """Run once for all calls that wait now. After a cancelled run the next waiting call starts another run."""
        waiting = self._calls
        try:
            await self._work()
        except Exception as failure:  # noqa: BLE001 - raised again in each waiting call
            self._failure = failure
            if self._hopeless is not None and isinstance(failure, self._hopeless):
                waiting = self._calls
        else:
            self._failure = None
        self._served = waiting
