"""The queue in which sign-ins wait for their turn.

Each sign-in uses the database and a thread. A whole office that signs in at the same moment, or a flood of attempts,
would otherwise take every database connection from the pages of people who are signed in.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from admin_web.people.throttle import TooManyAttempts

AT_ONCE = 4
MOST_WAITING = 400
"""Sign-ins that wait. The last of them waits for some 20 seconds, and nobody waits longer."""


@dataclass
class SignInQueue:
    """The sign-ins of one event loop that are waiting or under way."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    waiting: int = 0


_QUEUES: WeakKeyDictionary[asyncio.AbstractEventLoop, SignInQueue] = WeakKeyDictionary()


@asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """Wait for a turn and hold it until the end of the block. Raises TooManyAttempts if too many are waiting."""
    queue = _QUEUES.setdefault(asyncio.get_running_loop(), SignInQueue())
    if queue.waiting >= MOST_WAITING:
        raise TooManyAttempts("Too many people are signing in at the moment. Try again in 20 seconds.", "queue")
    queue.waiting += 1
    try:
        async with queue.turns:
            yield
    finally:
        queue.waiting -= 1
