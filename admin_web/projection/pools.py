"""Connections to the Redis of the projection, wherever it is now.

Behind Sentinel that is the master of the latest failover that any sentinel has heard of. They are asked again about
every second, and at once after a connection has failed.
"""

import asyncio
import math
from collections.abc import Sequence
from time import monotonic
from typing import cast

from hiredis import pack_command
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from compliance.redis_url import Cluster, Master, Sentinels, read_redis_url

FOLLOW_S = 1.0
"""How long the sentinels are taken at their word."""

NEVER = -math.inf


class Pools:
    """The pool of the Redis at `url`. Building one opens nothing. Raises ValueError for a URL that is none.

    `timeout_s` bounds each attempt to connect, and how long the sentinels may take together.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        sentinels = read_redis_url(url)
        if isinstance(sentinels, Cluster):
            raise ValueError("a cluster has many masters")  # noqa: TRY004 - it is the URL that is wrong
        self._sentinels = sentinels
        self._master = Master("" if self._sentinels else url)
        self._pool = pool_of(url, timeout_s) if not self._sentinels else None
        self._asking = asyncio.Lock()
        self._asked_at = NEVER

    async def current(self) -> tuple[Master, ConnectionPool]:
        """Give the master of now and its connections. Raises NoMaster."""
        async with self._asking:
            if self._sentinels and monotonic() - self._asked_at >= FOLLOW_S:
                await self._follow(self._sentinels)
            if self._pool is None:
                self._pool = pool_of(self._master.url, self._timeout_s)
        return self._master, self._pool

    async def _follow(self, sentinels: Sentinels) -> None:
        async def ask(url: str) -> Sequence[bytes | None]:
            answer = await ask_once(url, sentinels.question, self._timeout_s)
            return cast("Sequence[bytes | None]", answer)

        master = await sentinels.find(ask, self._timeout_s / 2)
        self._asked_at = monotonic()
        if master != self._master:
            if self._pool is not None:  # What is in use is closed by whoever uses it.
                await self._pool.disconnect(inuse_connections=False)
            self._master, self._pool = master, None

    def doubt(self) -> None:
        """Ask the sentinels before anything else is done: a connection has failed."""
        self._asked_at = NEVER

    def is_current(self, pool: ConnectionPool) -> bool:
        """Tell whether `pool` leads to the master of now."""
        return pool is self._pool

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            await self._pool.aclose()


async def ask_once(url: str, question: Sequence[str | bytes | int], timeout_s: float) -> object:
    """Put one command to the server at a plain URL over a connection of its own. Raises RedisError, OSError."""
    connection = pool_of(url, timeout_s).make_connection()  # type: ignore[no-untyped-call]
    try:
        await connection.connect()
        packed = pack_command(tuple(question))  # type: ignore[arg-type]
        await connection.send_packed_command(packed, check_health=False)
        answer: object = await connection.read_response(timeout=math.inf)
    finally:
        await connection.disconnect(nowait=True)
    return answer


def pool_of(url: str, timeout_s: float) -> ConnectionPool:
    """Make connections without the library's own retries: a dead Redis would take seconds to be called dead."""
    return ConnectionPool.from_url(
        url,
        max_connections=20,
        socket_connect_timeout=timeout_s,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        driver_info=None,
        client_name="dnc-admin",
        protocol=2,
    )
