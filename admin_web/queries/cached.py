"""A short-lived cache for values that every page needs."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cached(Generic[Value]):
    """Caches the result of `work` for `seconds`. Concurrent callers wait for a single run."""

    def __init__(self, work: Callable[[], Awaitable[Value]], seconds: float) -> None:
        self._work, self._seconds = work, seconds
        self._lock = asyncio.Lock()
        self._kept: list[Value] = []
        self._until = 0.0

    async def __call__(self) -> Value:
        """Return the value, recomputed if it is too old. Raises what `work` raises; an error is not cached."""
        async with self._lock:
            if not self._kept or monotonic() >= self._until:
                self._kept = [await self._work()]
                self._until = monotonic() + self._seconds
            return self._kept[0]
