"""One timer for many items that share one time limit, such as all calls that wait for a decision."""

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar


class Expirable(Protocol):
    """An item that is `over` when its work is done, and that must `expire` if that takes too long."""

    @property
    def over(self) -> bool:
        """Whether the item needs no deadline any more."""

    def expire(self) -> None:
        """Fail the item: its time limit has passed."""


Item = TypeVar("Item", bound=Expirable)


class Deadlines(Generic[Item]):
    """Expires each item that is not over `seconds` after it was watched. Create it on the event loop that it uses."""

    def __init__(self, seconds: float) -> None:
        # Kept, because asyncio.get_running_loop() makes a system call in Python 3.11 (strace: one getpid for each).
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._watched: deque[tuple[float, Item]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, item: Item) -> None:
        """Start the time limit of an item."""
        # All items have the same limit, so the oldest is always the first to expire: a queue and one timer are enough.
        # loop.call_later for each call would add and cancel a handle of the loop for each.
        watched = self._watched
        while watched and watched[0][1].over:
            watched.popleft()
        loop = self._loop
        watched.append((loop.time() + self._seconds, item))
        if self._timer is None:
            self._timer = loop.call_at(watched[0][0], self._expire_due)

    def _expire_due(self) -> None:
        loop, watched, self._timer = self._loop, self._watched, None
        now = loop.time()
        while watched and (watched[0][1].over or watched[0][0] <= now):
            _, item = watched.popleft()
            if not item.over:
                item.expire()  # May watch another item, and so set the timer.
        if watched and self._timer is None:
            self._timer = loop.call_at(watched[0][0], self._expire_due)
