"""Connection pools for the projection's Redis.

Behind Sentinel the pool leads to the master of the latest failover that any sentinel knows of. The sentinels are
queried again about every second, and at once after a connection has failed.
"""

import asyncio
import math
from collections.abc import Sequence
from time import monotonic
from typing import cast

from redis.asyncio.connection import ConnectionPool

from compliance.redis_connection import Connector
from compliance.redis_masters import Cluster, Master, Sentinels
from compliance.redis_url import read_redis_url

FOLLOW_S = 1.0
"""Seconds for which the answer of the sentinels, or of a cluster's nodes, is used."""

NEVER = -math.inf

CONNECTOR = Connector("dnc-admin")


class Pools:
    """The pool of the Redis at `url`. It connects at the first use. Raises ValueError for an invalid URL.

    `timeout_s` limits each attempt to connect, and the query of all sentinels together.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        sentinels = read_redis_url(url)
        if isinstance(sentinels, Cluster):
            raise ValueError("a cluster has several masters, not one")  # noqa: TRY004 - the URL is wrong, not a type
        self._sentinels = sentinels
        self._master = Master("" if self._sentinels else url)
        self._pool = CONNECTOR.pool(url, timeout_s) if not self._sentinels else None
        self._asking = asyncio.Lock()
        self._asked_at = NEVER

    async def current(self) -> tuple[Master, ConnectionPool]:
        """Return the present master and its pool. Raises NoMaster."""
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

        master = (await sentinels.find(ask, self._timeout_s / 2)).master
        self._asked_at = monotonic()
        if master != self._master:
            if self._pool is not None:  # Connections in use are closed by their users.
                await self._pool.disconnect(inuse_connections=False)
            self._master, self._pool = master, None

    def invalidate(self) -> None:
        """Query the sentinels before the next use, because a connection has failed."""
        self._asked_at = NEVER

    def is_current(self, pool: ConnectionPool) -> bool:
        """Return whether `pool` leads to the present master."""
        return pool is self._pool

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            await self._pool.aclose()
