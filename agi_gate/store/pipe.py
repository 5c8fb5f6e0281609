"""One open connection to Redis: pipelines out, and for each of them the list of its replies."""

import asyncio
from collections import deque
from time import monotonic
from typing import Any, NamedTuple, Protocol, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from agi_gate.store.wire import Answer, StoreUnavailable

BROKEN = "the connection to Redis broke while it was asked"

_MORE = object()
"""What the parser says when a reply has not arrived whole."""


class Batch(Protocol):
    """What is sent at once; one of the two is called, once."""

    def answered(self, replies: list[Answer]) -> None:
        """Take the replies, an error reply in its place."""

    def failed(self, error: StoreUnavailable) -> None:
        """Take note that there are none."""


class _Sent(NamedTuple):
    batch: Batch
    replies: int
    at: float


class Pipe(asyncio.Protocol):
    """Takes over the connection that was opened and greeted; `ended` is done when it is lost, with why."""

    def __init__(self, connection: AbstractConnection) -> None:
        # The library reads replies one coroutine at a time, which costs more than all else that a decision takes.
        writer = cast("Any", connection)._writer  # noqa: SLF001
        self._transport = cast("asyncio.Transport", writer.transport)
        self._parser = hiredis.Reader(notEnoughData=_MORE, replyError=ResponseError)
        self._sent: deque[_Sent] = deque()
        self._replies: list[Answer] = []
        self.ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._transport.set_protocol(self)
        # uvloop otherwise sends at the end of its tick: Redis would begin when all else is done.
        self._transport.set_write_buffer_limits(0)

    @property
    def under_way(self) -> int:
        """How many pipelines wait for their replies."""
        return len(self._sent)

    @property
    def silent_s(self) -> float:
        """For how many seconds the oldest of them has waited; 0 when there is none."""
        return monotonic() - self._sent[0].at if self._sent else 0.0

    def send(self, batch: Batch, commands: list[bytes], replies: int) -> None:
        """Send commands in one write; `batch` is called back with their `replies`."""
        self._sent.append(_Sent(batch, replies, monotonic()))
        self._transport.write(b"".join(commands))

    def data_received(self, data: bytes) -> None:
        """Take what Redis says."""
        parser, replies = self._parser, self._replies
        try:
            parser.feed(data)
            while (reply := parser.gets()) is not _MORE:
                replies.append(cast("Answer", reply))
                if len(replies) == self._sent[0].replies:
                    sent, self._replies = self._sent.popleft(), []
                    sent.batch.answered(replies)
                    replies = self._replies
        except (hiredis.HiredisError, IndexError):
            self.end(RedisConnectionError("Redis sent what is no reply"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        self.end(exc or RedisConnectionError("the connection to Redis was closed"))

    def end(self, why: Exception) -> None:
        """Give the connection up; what waits for replies on it gets none."""
        if self.ended.done():
            return
        self.ended.set_result(why)
        self._transport.abort()
        for sent in self._sent:
            sent.batch.failed(StoreUnavailable(BROKEN))
        self._sent.clear()
