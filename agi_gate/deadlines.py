"""One timer for many items with the same time limit, such as all calls that wait for a decision."""

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar


class Expirable(Protocol):
    """An item with a time limit. `over` is true once its work is done; `expire` is called if the limit passes first."""

    @property
    def over(self) -> bool:
        """Whether the item needs no deadline any more."""

    def expire(self) -> None:
        """Fail the item: its time limit has passed."""


Item = TypeVar("Item", bound=Expirable)


class Deadlines(Generic[Item]):
    """Calls `expire` on each item that is not over within `seconds` after `watch`.

    Create it on the event loop that it uses.
    """

    def __init__(self, seconds: float) -> None:
        # The loop is stored, because each asyncio.get_running_loop() costs a system call in Python 3.11 (strace shows
        # one getpid per call).
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._watched: deque[tuple[float, Item]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, item: Item) -> None:
        """Start the time limit of an item."""
        # All items have the same limit, so the oldest item is always the first to expire. A queue and one timer are
        # therefore enough. loop.call_later would create and cancel a timer handle for every call.
        watched = self._watched
        while watched and watched[0][1].over:
            watched.popleft()
        loop = self._loop
        watched.append((loop.time() + self._seconds, item))
        if self._timer is None:
            self._timer = loop.call_at(watched[0][0], self._expire_due)

    @property
    def under_way(self) -> int:
        """The number of items that are not over."""
        return sum(not item.over for _, item in self._watched)

    def _expire_due(self) -> None:
        loop, watched, self._timer = self._loop, self._watched, None
        now = loop.time()
        while watched and (watched[0][1].over or watched[0][0] <= now):
            _, item = watched.popleft()
            if not item.over:
                item.expire()  # This can call `watch` for another item, which sets the timer.
        if watched and self._timer is None:
            self._timer = loop.call_at(watched[0][0], self._expire_due)
