"""What is asked for by every page, and need not be newer than a moment."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cached(Generic[Value]):
    """Gives what `work` gave at most `seconds` ago; all who ask meanwhile wait for the one run."""

    def __init__(self, work: Callable[[], Awaitable[Value]], seconds: float) -> None:
        self._work, self._seconds = work, seconds
        self._lock = asyncio.Lock()
        self._kept: list[Value] = []
        self._until = 0.0

    async def __call__(self) -> Value:
        """Give the value, a fresh one if it is too old. Raises what `work` raises, and keeps nothing then."""
        async with self._lock:
            if not self._kept or monotonic() >= self._until:
                self._kept = [await self._work()]
                self._until = monotonic() + self._seconds
            return self._kept[0]
