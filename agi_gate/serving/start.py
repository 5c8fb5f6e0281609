"""When a gate process starts to accept calls: not before it can query Redis.

Until then its port is closed, so the dialplan asks the next gate at once. A BLOCK would be final for the call, and
without Redis the gate has no other answer. If the port is open all the same, because a supervisor or another process
holds the socket, connections wait in the socket's queue for the next process. They must not wait until the dialplan's
time limit, so `refuse_queue` closes them if no process comes.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

import structlog

from agi_gate.store.health import Health

LOOK_S = 0.005
"""Seconds between two looks at the health of a link."""

SETTLE_S = 1.0
"""Maximum time in seconds that a gate waits, after its first look at Redis, to know that the server is the master."""

QUEUE_S = 0.5
"""Seconds that connections may wait in the queue for a process. With two gates, `DNC_TIMEOUT` leaves a second each."""

WATCH_S = 0.05
"""Seconds between two looks at the queue."""

log = structlog.get_logger()


async def first_look(health: Callable[[], Health]) -> None:
    """Wait until the state was read from Redis, and then until the gate knows all that it needs to allow calls."""
    while not health().looked:  # noqa: ASYNC110 - once per process, and a cluster has no single event for it
        await asyncio.sleep(LOOK_S)
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_S):
            while not health().settled:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)


async def refuse_queue(listener: socket.socket, is_served: Callable[[], bool]) -> None:
    """Close the connections in the queue of `listener` while no process has accepted any for `QUEUE_S`."""
    unserved_s, refuses = 0.0, False
    while True:
        # Not by the clock: if this process stood still (SIGSTOP, a starved machine), the others' reports are old too.
        unserved_s = 0.0 if is_served() else unserved_s + WATCH_S
        if refuses != (refuses := unserved_s > QUEUE_S and listens(listener)):
            log.warning("connections are closed until a process serves" if refuses else "connections are answered")
        if refuses:
            _close_waiting(listener)
        await asyncio.sleep(WATCH_S)


def listens(listener: socket.socket) -> bool:
    """Return whether the kernel accepts connections on a socket."""
    return listener.fileno() >= 0 and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def _close_waiting(listener: socket.socket) -> None:
    with suppress(OSError):  # The queue is empty, or the system has no descriptor left.
        while True:
            listener.accept()[0].close()
