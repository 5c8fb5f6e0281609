"""One open connection to Redis. It writes pipelines and collects the replies to each of them."""

import asyncio
from collections import deque
from time import monotonic
from typing import Any, NamedTuple, Protocol, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from agi_gate.store.wire import Answer, StoreUnavailable

BROKEN = "the connection to Redis broke before all replies had come"

_MORE = object()
"""The parser returns this while a reply is incomplete."""


class Batch(Protocol):
    """The sender of one pipeline. The pipe calls either `answered` or `failed`, exactly once."""

    def answered(self, replies: list[Answer]) -> None:
        """Handle the replies, which can include error replies."""

    def failed(self, error: StoreUnavailable) -> None:
        """Handle the loss of the connection before all replies have arrived."""


class _Sent(NamedTuple):
    batch: Batch
    replies: int
    at: float


class Pipe(asyncio.Protocol):
    """Takes over a connection after its handshake. When the connection is lost, `ended` completes with the reason."""

    def __init__(self, connection: AbstractConnection) -> None:
        # redis-py reads each reply in a separate coroutine (AbstractConnection.read_response), which costs more than
        # the rest of a decision. So redis-py only opens the connection, with TLS, AUTH and SELECT.
        writer = cast("Any", connection)._writer  # noqa: SLF001
        self._transport = cast("asyncio.Transport", writer.transport)
        self._parser = hiredis.Reader(notEnoughData=_MORE, replyError=ResponseError)
        self._sent: deque[_Sent] = deque()
        self._replies: list[Answer] = []
        self.ended: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._transport.set_protocol(self)

    @property
    def in_flight(self) -> int:
        """The number of pipelines whose replies have not all arrived."""
        return len(self._sent)

    @property
    def silent_s(self) -> float:
        """Seconds that the oldest pipeline in flight has waited; 0 if there is none."""
        return monotonic() - self._sent[0].at if self._sent else 0.0

    def send(self, batch: Batch, commands: list[bytes], replies: int) -> None:
        """Send a pipeline in one write. `batch` is called once all its replies, `replies` in number, have arrived."""
        self._sent.append(_Sent(batch, replies, monotonic()))
        self._transport.write(b"".join(commands))

    def data_received(self, data: bytes) -> None:
        """Parse what Redis sent, and call back each batch whose replies are complete."""
        parser, replies = self._parser, self._replies
        try:
            parser.feed(data)
            while (reply := parser.gets()) is not _MORE:
                replies.append(cast("Answer", reply))
                # Redis replies in the order of the commands, so counting is enough to assign replies to pipelines.
                if len(replies) == self._sent[0].replies:
                    sent, self._replies = self._sent.popleft(), []
                    sent.batch.answered(replies)
                    replies = self._replies
        except (hiredis.HiredisError, IndexError):  # A reply without a pipeline raises IndexError.
            self.end(RedisConnectionError("Redis sent something that is not a reply"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End the pipe, because the connection is lost."""
        self.end(exc or RedisConnectionError("the connection to Redis was closed"))

    def end(self, why: Exception) -> None:
        """Close the connection and fail every pipeline in flight."""
        if self.ended.done():
            return
        self.ended.set_result(why)
        # close() would first wait until the buffered data is sent, but a silent Redis accepts no data.
        self._transport.abort()
        for sent in self._sent:
            sent.batch.failed(StoreUnavailable(BROKEN))
        self._sent.clear()
