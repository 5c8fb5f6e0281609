"""The present shards of a Redis Cluster, and a connection pool for each.

The nodes are queried again about every second, and immediately after a failure, as sentinels are.
"""

import asyncio
from time import monotonic

from redis.asyncio.connection import ConnectionPool

from admin_web.projection.pools import CONNECTOR, FOLLOW_S, NEVER
from compliance.cluster import Topology
from compliance.redis_masters import Cluster, Master, NoMaster

REST_S = 0.05
"""Seconds for which silent nodes are waited for after most nodes have replied.

While a node is silent, every operation would otherwise wait for it, also on the other shards. A view that is out of
date does no harm: each master describes itself to the connection that is opened to it.
"""


class Nodes:
    """The nodes of a cluster. They are queried at the first use; `timeout_s` limits all queries together."""

    def __init__(self, cluster: Cluster, timeout_s: float) -> None:
        self.cluster, self.timeout_s = cluster, timeout_s
        self._topology = Topology()
        self._asking = asyncio.Lock()
        self._asked_at = NEVER

    async def topology(self) -> Topology:
        """Return the present masters and their slots. Raises NoMaster."""
        async with self._asking:
            if monotonic() - self._asked_at >= FOLLOW_S:
                known = self._topology.addresses
                self._topology = await self.cluster.find(known, self._ask, self.timeout_s / 2, rest_s=REST_S)
                self._asked_at = monotonic()
        return self._topology

    def seen(self) -> Topology:
        """Return the result of the last query."""
        return self._topology

    def invalidate(self) -> None:
        """Query the nodes before the next use, because something has failed."""
        self._asked_at = NEVER

    async def _ask(self, url: str) -> bytes:
        answer = await CONNECTOR.ask(url, self.cluster.question, self.timeout_s)
        if isinstance(answer, bytes):
            return answer
        raise NoMaster(f"the node answered {answer!r}")


class ShardPools:
    """The pool of the master that owns one slot now."""

    def __init__(self, nodes: Nodes, slot: int) -> None:
        self._nodes, self._slot = nodes, slot
        self._master = Master("")
        self._pool: ConnectionPool | None = None

    async def current(self) -> tuple[Master, ConnectionPool]:
        """Return the present master and its pool. Raises NoMaster."""
        shard = (await self._nodes.topology()).owner(self._slot)
        if shard is None:
            raise NoMaster(f"no shard of the cluster serves slot {self._slot}")
        master = self._nodes.cluster.master(shard)
        if self._pool is None or master != self._master:
            if self._pool is not None:  # Connections in use are closed by their users.
                await self._pool.disconnect(inuse_connections=False)
            self._master, self._pool = master, CONNECTOR.pool(master.url, self._nodes.timeout_s)
        return self._master, self._pool

    def invalidate(self) -> None:
        """Query the nodes before the next use."""
        self._nodes.invalidate()

    def is_current(self, pool: ConnectionPool) -> bool:
        """Return whether `pool` leads to the present master."""
        return pool is self._pool

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            await self._pool.aclose()
