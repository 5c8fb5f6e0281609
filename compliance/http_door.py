"""The connections of an HTTP server: how many there may be, and how long a client may take.

aiohttp has no deadline for the head of a request, and no limit of connections (web_protocol.py). A client that sends
half a request would hold a file and a task for as long as it likes. So each connection begins here: aiohttp gets it
only once the first head is complete, and loses it when its client takes too long.

If there are too many connections, the one that has waited longest for its client is closed, and the new one is
accepted. So a flood of half-sent requests closes itself, and a client that sends its request at once is answered.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import cast

import structlog
from aiohttp import StreamReader, web
from aiohttp.typedefs import Handler, Middleware

from compliance.networks import Network

LONGEST_HEAD = 32 * 1024
"""Bytes of a head that are kept. A longer one is passed on to aiohttp, which refuses it."""

LEAST_PROGRESS = 2_000
"""Bytes of a body that must arrive within `Limits.stall_s`."""

UNREAD = 256 * 1024
"""Bytes of a body that are still accepted after the answer, because they were already on their way."""

SWEEP_S = 1.0
TOLD_S = 10.0
"""Seconds between two messages about closed connections."""

TRUSTED = ""
"""The group of the connections of trusted addresses."""

TOO_MANY = "too-many"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum numbers of connections, and deadlines in seconds.

    `head_s` is for a whole head, `stall_s` for some progress of a body or an answer, `idle_s` for the next request.
    The networks `trusted` are those of proxies. They may use all connections, because a proxy brings a whole office.
    """

    connections: int
    per_address: int
    head_s: float = 10.0
    stall_s: float = 60.0
    idle_s: float = 75.0
    trusted: tuple[Network, ...] = ()

    def trusts(self, host: str) -> bool:
        """Return whether an address is that of a proxy."""
        address = _address_of(host) if self.trusted else None
        return address is not None and any(address in network for network in self.trusted)


class Stage(Enum):
    """What a connection waits for."""

    HEAD = "head"
    ANSWER = "answer"
    IDLE = "idle"


class Connection(asyncio.Protocol):
    """One connection. It passes everything on to aiohttp's protocol, `inner`, once the first head is complete."""

    __slots__ = (
        "_blocked_at",
        "_body",
        "_door",
        "_head",
        "_progress",
        "_unread",
        "group",
        "inner",
        "since",
        "stage",
        "transport",
    )

    def __init__(self, door: "Door") -> None:
        self._door, self._head = door, b""
        self._body: StreamReader | None = None
        self._blocked_at: float | None = None
        self._progress, self._unread = 0, UNREAD
        self.inner: asyncio.Protocol | None = None
        self.transport: asyncio.Transport
        self.stage, self.since, self.group = Stage.HEAD, door.now(), ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or close it."""
        self.transport = cast("asyncio.Transport", transport)
        host = (transport.get_extra_info("peername") or ("",))[0]
        self.group = TRUSTED if self._door.limits.trusts(host) else network_of(host)
        if not self._door.admits(self):
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Keep an incomplete head; pass on everything else."""
        if self.inner is None:
            self._head += data
            if is_whole(self._head):
                self.inner, head = self._door.make_inner(), self._head
                self._head = b""
                self.inner.connection_made(self.transport)
                self.inner.data_received(head)
            return
        if self.stage is Stage.IDLE:
            if self._has_whole_body:
                self._door.enter(self, Stage.HEAD)
            else:
                self._unread -= len(data)
        if self._unread < 0:  # The request was answered without its body, so the rest is not read.
            self.transport.pause_reading()
            return
        self._progress += len(data)
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Return whether the transport must stay open."""
        return self.inner.eof_received() if self.inner else False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._door.forget(self)
        if self.inner:
            self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._blocked_at = self._door.now()
        if self.inner:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._blocked_at = None
        if self.stage is Stage.IDLE:
            self.since = self._door.now()
        if self.inner:
            self.inner.resume_writing()

    def begin(self, body: StreamReader) -> None:
        """Note that a request with this body is being answered."""
        self._body, self._progress, self._unread = body, 0, UNREAD
        self._door.enter(self, Stage.ANSWER)

    def end(self) -> None:
        """Note that the answer is ready."""
        self._door.enter(self, Stage.IDLE)

    @property
    def awaits_client(self) -> bool:
        """Whether only the client can make progress."""
        return self.stage is not Stage.ANSWER or self._blocked_at is not None or self._awaits_body

    @property
    def _is_sent(self) -> bool:
        return self.transport.is_reading() and not self.transport.get_write_buffer_size()

    @property
    def _awaits_body(self) -> bool:
        # A server that is busy pauses the transport. The client cannot be blamed for this.
        return not self._has_whole_body and self.transport.is_reading()

    @property
    def _has_whole_body(self) -> bool:
        return self._body is None or self._body.is_eof()

    def is_late(self, now: float) -> str:
        """Return which deadline the client has missed, as a slug; empty if none."""
        limits = self._door.limits
        if self._blocked_at is not None and now - self._blocked_at > limits.stall_s:
            return "slow-reader"
        if self.stage is Stage.HEAD:
            return "slow-head" if now - self.since > limits.head_s else ""
        if self.stage is Stage.IDLE:
            if self._is_sent:
                return "idle" if now - self.since > limits.idle_s else ""
            # The rest of an answer may be too small for aiohttp to be told that its client does not read it.
            return "slow-reader" if now - self.since > limits.idle_s + limits.stall_s else ""
        if not self._awaits_body or self._progress >= LEAST_PROGRESS:
            self.since, self._progress = now, 0
        return "slow-body" if now - self.since > limits.stall_s else ""


class Door:
    """The connections of one server. `make_inner` returns aiohttp's protocol for one connection."""

    def __init__(self, limits: Limits, make_inner: Callable[[], asyncio.Protocol]) -> None:
        self.limits, self.make_inner = limits, make_inner
        self._loop = asyncio.get_running_loop()
        # In the order in which the connections entered their stages, so the first ones have waited longest.
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
        """Close the connections that aiohttp does not know yet."""
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

    def middleware(self) -> Middleware:
        """Return the middleware that tells this door which request is being answered. It must be the first one."""

        @web.middleware
        async def attended(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = self.of(request.transport)
            if connection is None:
                return await handler(request)
            connection.begin(request.content)
            try:
                return await handler(request)
            finally:
                connection.end()

        return attended


def is_whole(head: bytes) -> bool:
    """Return whether a head is complete, or too long for one."""
    return b"\r\n\r\n" in head or b"\n\n" in head or len(head) > LONGEST_HEAD


def network_of(host: str) -> str:
    """Return the network of an address that counts as one client: itself for IPv4, its /64 for IPv6."""
    # A subscriber usually gets a whole /64 (RFC 6177, 2), so single addresses of IPv6 are free of charge.
    address = _address_of(host)
    if address is None:
        return host
    return str(address) if address.version == 4 else f"{int(address) >> 64:x}"


def _address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return an address without its zone, and as IPv4 if it is one in IPv6 form; None if `host` is no address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
