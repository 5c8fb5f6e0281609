"""Where the shards of a Redis Cluster are now, and the connections to each.

The nodes are asked again about every second, and at once after something has failed: as the sentinels are.
"""

import asyncio
from time import monotonic

from redis.asyncio.connection import ConnectionPool

from admin_web.projection.pools import CONNECTOR, FOLLOW_S, NEVER
from compliance.cluster import Topology
from compliance.redis_url import Cluster, Master, NoMaster


class Nodes:
    """The nodes of a cluster. Building one opens nothing. `timeout_s` bounds how long they may take together."""

    def __init__(self, cluster: Cluster, timeout_s: float) -> None:
        self.cluster, self.timeout_s = cluster, timeout_s
        self._topology = Topology()
        self._asking = asyncio.Lock()
        self._asked_at = NEVER

    async def topology(self) -> Topology:
        """Tell which masters there are now, and their slots. Raises NoMaster."""
        async with self._asking:
            if monotonic() - self._asked_at >= FOLLOW_S:
                known = self._topology.addresses
                self._topology = await self.cluster.find(known, self._ask, self.timeout_s / 2)
                self._asked_at = monotonic()
        return self._topology

    def seen(self) -> Topology:
        """Tell what was found last."""
        return self._topology

    def doubt(self) -> None:
        """Ask the nodes before anything else is done: something has failed."""
        self._asked_at = NEVER

    async def _ask(self, url: str) -> bytes:
        answer = await CONNECTOR.ask(url, self.cluster.question, self.timeout_s)
        if isinstance(answer, bytes):
            return answer
        raise NoMaster(f"it answers {answer!r}")


class ShardPools:
    """The pool of the master that owns one slot, whichever that is."""

    def __init__(self, nodes: Nodes, slot: int) -> None:
        self._nodes, self._slot = nodes, slot
        self._master = Master("")
        self._pool: ConnectionPool | None = None

    async def current(self) -> tuple[Master, ConnectionPool]:
        """Give the master of now and its connections. Raises NoMaster."""
        shard = (await self._nodes.topology()).owner(self._slot)
        if shard is None:
            raise NoMaster(f"no shard of the cluster serves slot {self._slot}")
        master = self._nodes.cluster.master(shard)
        if self._pool is None or master != self._master:
            if self._pool is not None:  # What is in use is closed by whoever uses it.
                await self._pool.disconnect(inuse_connections=False)
            self._master, self._pool = master, CONNECTOR.pool(master.url, self._nodes.timeout_s)
        return self._master, self._pool

    def doubt(self) -> None:
        """Ask the nodes before anything else is done."""
        self._nodes.doubt()

    def is_current(self, pool: ConnectionPool) -> bool:
        """Tell whether `pool` leads to the master of now."""
        return pool is self._pool

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            await self._pool.aclose()
