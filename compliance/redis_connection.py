"""Connections to Redis as both programs need them: redis-py does not retry, and the caller sets the time limits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_MEANINGS = {
    "MOVED": "another shard of the cluster owns the slot now",
    "ASK": "the slot is moving to another shard of the cluster",
}
"""What the error replies mean whose text is only a slot and an address, which belongs in no message."""


def error_reply(reply: object) -> str:
    """Return an error reply as Redis wrote it, from its first word on. MOVED and ASK are explained instead.

    redis-py takes the first word away from the errors that it knows (BaseParser.parse_error), and the repr of an error
    is only the name of its class.
    """
    text, code = str(reply), getattr(reply, "status_code", None)
    if code and code != "ERR" and not text.startswith(code):
        text = f"{code} {text}"
    word, _, rest = text.partition(" ")
    meaning = _MEANINGS.get(word)
    return f"{word} {rest.partition(' ')[0]}: {meaning}" if meaning else text or type(reply).__name__


@dataclass(frozen=True, slots=True)
class Connector:
    """Creates connections that `CLIENT LIST` shows under the name of one program.

    `url` is always a plain URL of one server. A malformed URL raises ValueError.
    """

    client_name: str

    def pool(self, url: str, timeout_s: float, *, most: int = 20) -> ConnectionPool:
        """Return a pool of at most `most` connections. `timeout_s` limits only the attempt to connect."""
        # By default redis-py retries with back-off: it took 3.6 to 3.9 s to report a closed port (redis-py 8.1, PING).
        # socket_timeout would limit each reply separately, but callers set one limit for the whole exchange.
        return ConnectionPool.from_url(
            url,
            max_connections=most,
            socket_connect_timeout=timeout_s,
            socket_timeout=None,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            driver_info=None,
            client_name=self.client_name,
            protocol=2,
        )

    def connection(self, url: str, timeout_s: float) -> AbstractConnection:
        """Return a new connection, outside of any shared pool. It is not open yet."""
        made = self.pool(url, timeout_s).make_connection()  # type: ignore[no-untyped-call]
        return cast("AbstractConnection", made)

    async def ask(self, url: str, command: Sequence[str | bytes | int], timeout_s: float) -> object:
        """Send one command over a new connection and return the reply. Raises RedisError or OSError."""
        connection = self.connection(url, timeout_s)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            packed = pack_command(tuple(command))  # type: ignore[arg-type]
            await connection.send_packed_command(packed, check_health=False)
            # math.inf means no limit. None would mean socket_timeout here: only later versions of redis-py take None
            # as no limit (AbstractConnection.read_response).
            reply: object = await connection.read_response(timeout=math.inf)
        finally:
            await connection.disconnect(nowait=True)
        return reply
