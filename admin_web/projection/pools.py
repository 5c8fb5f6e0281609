"""Connections to the Redis of the projection, wherever it is now.

Behind Sentinel that is the master of the latest failover that any sentinel has heard of. They are asked again about
every second, and at once after a connection has failed.
"""

import asyncio
import math
from collections.abc import Sequence
from time import monotonic
from typing import cast

from redis.asyncio.connection import ConnectionPool

from compliance.redis_connection import Connector
from compliance.redis_url import Cluster, Master, Sentinels, read_redis_url

FOLLOW_S = 1.0
"""How long the sentinels are taken at their word."""

NEVER = -math.inf

CONNECTOR = Connector("dnc-admin")


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
        self._pool = CONNECTOR.pool(url, timeout_s) if not self._sentinels else None
        self._asking = asyncio.Lock()
        self._asked_at = NEVER

    async def current(self) -> tuple[Master, ConnectionPool]:
        """Give the master of now and its connections. Raises NoMaster."""
        async with self._asking:
            if self._sentinels and monotonic() - self._asked_at >= FOLLOW_S:
                await self._follow(self._sentinels)
            if self._pool is None:
                self._pool = CONNECTOR.pool(self._master.url, self._timeout_s)
        return self._master, self._pool

    async def _follow(self, sentinels: Sentinels) -> None:
        async def ask(url: str) -> Sequence[bytes | None]:
            answer = await CONNECTOR.ask(url, sentinels.question, self._timeout_s)
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
