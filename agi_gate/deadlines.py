"""Many things that may each last equally long, watched with one timer."""

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar


class Lasting(Protocol):
    """Something that is `over` by itself, or has to `expire`."""

    @property
    def over(self) -> bool:
        """Tell whether it needs to be watched no more."""

    def expire(self) -> None:
        """End, because the time is over."""


Thing = TypeVar("Thing", bound=Lasting)


class Deadlines(Generic[Thing]):
    """Has whatever is not over within `seconds` expire. All last equally long, so they end in the order they came.

    It is made on the loop that it is used on, and keeps it: in Python 3.11 it costs a system call to ask for it.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._watched: deque[tuple[float, Thing]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, thing: Thing) -> None:
        """Begin to count the time of a thing; forget what is over."""
        watched = self._watched
        while watched and watched[0][1].over:
            watched.popleft()
        loop = self._loop
        watched.append((loop.time() + self._seconds, thing))
        if self._timer is None:
            self._timer = loop.call_at(watched[0][0], self._look)

    def _look(self) -> None:
        loop, watched, self._timer = self._loop, self._watched, None
        now = loop.time()
        while watched and (watched[0][1].over or watched[0][0] <= now):
            _, thing = watched.popleft()
            if not thing.over:
                thing.expire()
        if watched and self._timer is None:
            self._timer = loop.call_at(watched[0][0], self._look)
