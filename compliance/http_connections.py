"""All connections of an HTTP server: how many there may be, and which one is closed if there are too many.

aiohttp has no limit of connections. If there are too many, the one whose client has made no progress for the longest
time is closed, and the new one is accepted. So a flood of half-sent requests closes itself, and a client that sends its
request at once is answered.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from compliance.http_connection import TRUSTED, Connection, Stage
from compliance.http_limits import Limits

SWEEP_S = 1.0
TOLD_S = 10.0
"""Seconds between two messages about closed connections."""

TOO_MANY = "too-many"

log = structlog.get_logger()


class Connections:
    """The connections of one server. `make_inner` returns the protocol that answers on one connection."""

    def __init__(self, limits: Limits, make_inner: Callable[[], asyncio.Protocol]) -> None:
        self.limits, self.make_inner = limits, make_inner
        self._loop = asyncio.get_running_loop()
        # In the order in which their clients last made progress, so the first ones have waited longest.
        self._all: dict[asyncio.BaseTransport, Connection] = {}
        self._groups: dict[str, dict[asyncio.BaseTransport, Connection]] = {}
        self._closed: Counter[str] = Counter()
        self._told_at = -TOLD_S
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Return the time of the event loop, in seconds."""
        return self._loop.time()

    def of(self, transport: asyncio.BaseTransport | None) -> Connection | None:
        """Return the connection over a transport; None if it is lost."""
        return self._all.get(transport) if transport else None

    def admits(self, connection: Connection) -> bool:
        """Add a connection, and close another if there are too many. Return False if all others are being served."""
        limits, group = self.limits, self._groups.get(connection.group, {})
        over = connection.group != TRUSTED and len(group) >= limits.per_address
        if (over and not self._close_one(group)) or (
            len(self._all) >= limits.connections and not self._close_one(self._all)
        ):
            self._closed[TOO_MANY] += 1
            return False
        self._add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(SWEEP_S, self._sweep)
        return True

    def _add(self, connection: Connection) -> None:
        self._all[connection.transport] = connection
        self._groups.setdefault(connection.group, {})[connection.transport] = connection

    def _close_one(self, some: Mapping[asyncio.BaseTransport, Connection]) -> bool:
        """Close the connection that has waited longest for its client; return False if none waits."""
        for connection in some.values():
            if connection.awaits_client:
                self.close(connection, TOO_MANY)
                return True
        return False

    def enter(self, connection: Connection, stage: Stage) -> None:
        """Move a connection to another stage."""
        if connection.stage is not stage and self._all.get(connection.transport) is connection:
            connection.stage, connection.since = stage, self.now()
            self.put_last(connection)

    def put_last(self, connection: Connection) -> None:
        """Put a connection behind all others, because its client has just made progress."""
        if self._all.get(connection.transport) is connection:
            self.forget(connection)
            self._add(connection)

    def close(self, connection: Connection, why: str) -> None:
        """Close a connection at once."""
        self._closed[why] += 1
        self.forget(connection)
        connection.transport.abort()

    def forget(self, connection: Connection) -> None:
        """Remove a connection."""
        self._all.pop(connection.transport, None)
        group = self._groups.get(connection.group, {})
        group.pop(connection.transport, None)
        if not group:
            self._groups.pop(connection.group, None)

    def close_heads(self) -> None:
        """Close the connections whose first request is not complete."""
        if self._timer:
            self._timer.cancel()
        for connection in list(self._all.values()):
            if connection.inner is None:
                connection.transport.abort()

    def _sweep(self) -> None:
        now = self.now()
        for connection in list(self._all.values()):
            if why := connection.is_late(now):
                self.close(connection, why)
        del self._closed["idle"]
        # One message for many connections, because a flood must not fill the disk with messages.
        if self._closed and now - self._told_at >= TOLD_S:
            log.warning("connections closed", open=len(self._all), **self._closed)
            self._closed, self._told_at = Counter(), now
        self._timer = self._loop.call_later(SWEEP_S, self._sweep) if self._all or self._closed else None
