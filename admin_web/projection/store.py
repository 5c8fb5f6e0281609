"""Stores: connections to the projection's Redis, either one Redis or the shards of a cluster."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError

from admin_web.projection.pools import Pools
from admin_web.projection.topology import Nodes, ShardPools
from admin_web.projection.wire import TIMEOUT_S, RedisUnavailable, Wire, on_shard, translated_errors
from compliance.cluster import Topology
from compliance.redis_masters import Cluster
from compliance.redis_schema import WHOLE, Keys
from compliance.redis_url import read_redis_url, without_secrets


class Store:
    """The Redis at `url`. It connects at the first use. Raises RedisUnavailable for an invalid URL.

    `replicas` is the setting DNC_REPLICAS: see `Wire.acknowledged`. `shard` is set for one shard of the cluster at
    `url`. It has the cluster's nodes, and the shard's lowest slot.
    """

    def __init__(self, url: str, replicas: int = 0, *, shard: tuple[Nodes, int] | None = None) -> None:
        self.shown = without_secrets(url)
        self._url, self._replicas = url, replicas
        self._pools: Pools | ShardPools
        try:
            if shard is None:
                self.keys, self._pools = WHOLE, Pools(url, TIMEOUT_S)
            else:
                self.keys, self._pools = Keys(shard[1]), ShardPools(*shard)
        except ValueError as error:
            raise RedisUnavailable(f"DNC_REDIS_URL: {self.shown}: {error}") from None

    async def shards(self) -> "Sequence[Store]":
        """Return the store of each present shard; outside a cluster, this one."""
        return (self,)

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """Open a connection, or take a free one, for the length of a block. Raises RedisUnavailable."""
        reusable = False
        where = on_shard(self.keys.first_slot)
        with translated_errors(f"no usable Redis at {self.shown}{where}: ", self.shown, where):
            async with asyncio.timeout(TIMEOUT_S):
                master, pool = await self._pools.current()
                connection = await self._connection(pool)
        wire = Wire(connection, master, self._replicas, self.keys)
        try:
            yield wire
            reusable = not wire.watching and self._pools.is_current(pool)
        finally:
            # On a connection that is not reusable, a reply may still arrive, a key may still be watched, or the server
            # may no longer be the master.
            if not reusable:
                self._pools.invalidate()
                await connection.disconnect(nowait=True)
            await pool.release(connection)

    async def _connection(self, pool: ConnectionPool) -> AbstractConnection:
        try:
            connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]
        except (RedisError, OSError, asyncio.CancelledError):
            self._pools.invalidate()
            raise
        return connection

    async def close(self) -> None:
        """Close every connection."""
        await self._pools.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class ClusterStore(Store):
    """The cluster at `url`, as one store per shard."""

    def __init__(self, url: str, cluster: Cluster, replicas: int = 0) -> None:
        self.shown = without_secrets(url)
        self._url, self._replicas, self.keys = url, replicas, WHOLE
        self._nodes = Nodes(cluster, TIMEOUT_S)
        self._stores: dict[int, Store] = {}

    async def topology(self) -> Topology:
        """Return the present shards. Raises RedisUnavailable."""
        with translated_errors(f"no usable Redis Cluster at {self.shown}: "):
            return await self._nodes.topology()

    def seen(self) -> Topology:
        """Return the shards as they were when the nodes were last queried."""
        return self._nodes.seen()

    async def shards(self) -> Sequence[Store]:
        """Return the store of each present shard. Raises RedisUnavailable."""
        return [self.shard(shard.first) for shard in (await self.topology()).shards]

    def shard(self, slot: int) -> Store:
        """Return the store of the shard whose lowest slot was `slot`.

        The store connects to the present owner of that slot.
        """
        if slot not in self._stores:
            self._stores[slot] = Store(self._url, self._replicas, shard=(self._nodes, slot))
        return self._stores[slot]

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """Raise RedisUnavailable, because a cluster needs one connection per shard."""
        none: tuple[Wire, ...] = ()
        for wire in none:
            yield wire
        raise RedisUnavailable("a cluster has no single connection; use one of its shards")

    async def close(self) -> None:
        """Close every connection."""
        for store in self._stores.values():
            await store.close()


def store_at(url: str, replicas: int = 0) -> Store:
    """Return the store at `url`: of one Redis or of a cluster. Raises RedisUnavailable for an invalid URL."""
    try:
        cluster = read_redis_url(url)
    except ValueError as error:
        raise RedisUnavailable(f"DNC_REDIS_URL: {without_secrets(url)}: {error}") from None
    return ClusterStore(url, cluster, replicas) if isinstance(cluster, Cluster) else Store(url, replicas)
