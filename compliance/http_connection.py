"""One connection of an HTTP server: what it waits for, and when its client has taken too long.

aiohttp has no deadline for the head of a request (web_protocol.py). A client that sends half a request would hold a
file and a task for as long as it likes. So each connection begins here: aiohttp gets it only once the first head is
complete, and loses it when its client takes too long.
"""

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, cast

from compliance.addresses import network_of

if TYPE_CHECKING:
    from aiohttp import StreamReader

    from compliance.http_connections import Connections

LONGEST_HEAD = 32 * 1024
"""Bytes of a head that are kept. A longer one is passed on to aiohttp, which refuses it."""

LEAST_PROGRESS = 2_000
"""Bytes of a body that must arrive within `Limits.stall_s`."""

UNREAD = 256 * 1024
"""Bytes of a body that are still accepted after the answer, because they were already on their way."""

TRUSTED = ""
"""The group of the connections of trusted addresses."""


class Stage(Enum):
    """What a connection waits for."""

    HEAD = "head"
    ANSWER = "answer"
    IDLE = "idle"


class Connection(asyncio.Protocol):
    """One connection. It passes everything on to the protocol `inner`, once the first head is complete."""

    __slots__ = (
        "_all",
        "_blocked_at",
        "_body",
        "_head",
        "_progress",
        "_unread",
        "group",
        "inner",
        "since",
        "stage",
        "transport",
    )

    def __init__(self, connections: "Connections") -> None:
        self._all, self._head = connections, b""
        self._body: StreamReader | None = None
        self._blocked_at: float | None = None
        self._progress, self._unread = 0, UNREAD
        self.inner: asyncio.Protocol | None = None
        self.transport: asyncio.Transport
        self.stage, self.since, self.group = Stage.HEAD, connections.now(), ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or close it."""
        self.transport = cast("asyncio.Transport", transport)
        host = (transport.get_extra_info("peername") or ("",))[0]
        self.group = TRUSTED if self._all.limits.trusts(host) else network_of(host) or host
        if not self._all.admits(self):
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Keep an incomplete head; pass on everything else."""
        if self.inner is None:
            self._head += data
            if is_whole(self._head):
                self.inner, head = self._all.make_inner(), self._head
                self._head = b""
                self.inner.connection_made(self.transport)
                self.inner.data_received(head)
            return
        if self.stage is Stage.IDLE:
            if self._has_whole_body:
                self._all.enter(self, Stage.HEAD)
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
        self._all.forget(self)
        if self.inner:
            self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        self._blocked_at = self._all.now()
        if self.inner:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._blocked_at = None
        if self.stage is Stage.IDLE:
            self.since = self._all.now()
        self._all.put_last(self)
        if self.inner:
            self.inner.resume_writing()

    def begin(self, body: "StreamReader") -> None:
        """Note that a request with this body is being answered."""
        self._body, self._progress, self._unread = body, 0, UNREAD
        self._all.enter(self, Stage.ANSWER)

    def end(self) -> None:
        """Note that the answer is ready."""
        self._all.enter(self, Stage.IDLE)

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
        limits = self._all.limits
        if self._blocked_at is not None and now - self._blocked_at > limits.stall_s:
            return "slow-reader"
        if self.stage is Stage.HEAD:
            return "slow-head" if now - self.since > limits.head_s else ""
        if self.stage is Stage.IDLE:
            if self._is_sent:
                return "idle" if now - self.since > limits.idle_s else ""
            # The rest of an answer may be too small for aiohttp to be told that its client does not read it.
            return "slow-reader" if now - self.since > limits.idle_s + limits.stall_s else ""
        if self._progress >= LEAST_PROGRESS:
            self._all.put_last(self)
        if not self._awaits_body or self._progress >= LEAST_PROGRESS:
            self.since, self._progress = now, 0
        return "slow-body" if now - self.since > limits.stall_s else ""


def is_whole(head: bytes) -> bool:
    """Return whether a head is complete, or too long for one."""
    return b"\r\n\r\n" in head or b"\n\n" in head or len(head) > LONGEST_HEAD
