"""Which server is the master of a link, and whether it still is.

The master of a plain URL never changes. Behind Sentinel the link asks the sentinels for the master before it connects,
and every second after that. A master that was replaced may not know it yet. Until the link leaves this master, not all
of its replicas acknowledge its records, so the gate allows no call (`followers.py`).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from redis.asyncio.connection import AbstractConnection

from agi_gate.store.followers import Followers
from agi_gate.store.health import Health
from agi_gate.store.wire import Answer, StoreRefused, StoreUnavailable, handshake, locate, own_view
from compliance.redis_masters import Found, Master
from compliance.redis_url import read_redis_url

FOLLOW_S = 1.0
"""Seconds between two queries of the sentinels for the current master."""

FOLLOW_LEAST_S = 0.1
"""Minimum time in seconds between two such queries, however many records lack an acknowledgement."""

SURE_S = 5.0
"""Seconds after which any sentinel knows of a failover that another one led.

Each sentinel tells the others every two seconds who the master is (Redis source, SENTINEL_PUBLISH_PERIOD).
"""

Leave = Callable[[Exception], None]


class Mastership:
    """The master of a plain URL. `least` is the least number of replicas that must have a record."""

    can_change = False

    def __init__(self, url: str, least: int) -> None:
        self.followers = Followers(least)
        self._announced = self.connected = Master(url)
        self._health = Health()
        self._is_new = False
        self._leave: Leave = _nowhere

    @property
    def announced(self) -> Master:
        """The master to connect to."""
        return self._announced

    async def locate(self) -> Master:
        """Return the master to connect to. Raises StoreUnavailable."""
        return self._announced

    async def handshake(self, connection: AbstractConnection, master: Master) -> str:
        """Open the connection and return the incarnation of the server. Raises StoreUnavailable."""
        return master.incarnation(await handshake(connection))

    async def run(self) -> None:
        """Follow the master, until cancelled."""

    def begin(self, master: Master, health: Health, leave: Leave) -> None:
        """Begin with a new connection to `master`. `health` is that of the connection, and `leave` ends it."""
        self._is_new = bool(self.connected.epoch) and master.epoch != self.connected.epoch
        self.connected, self._health, self._leave = master, health, leave
        self.followers.forget()
        if not self.followers.least or not self.can_change:
            self.followers.needed = self.followers.least
        self._note()
        self._check()

    def announce(self, master: Master) -> None:
        """Set the current master, and leave the old master if it is a different one."""
        self._announced = master
        self._check()

    def asking(self) -> None:
        """Note that a question about the master begins now."""
        self.followers.asking()

    def confirm(self) -> None:
        """Confirm the master, because the question named the one that was announced."""
        if self._announced == self.connected:
            self.followers.confirm()
            self._note()

    def counted(self, info: Answer) -> None:
        """Count the replicas, from the reply to INFO replication."""
        self.followers.counted(info)
        if self.followers.needed is None:
            self.miss()

    def miss(self) -> None:
        """Ask for the current master soon: a record lacks an acknowledgement, or the master is not confirmed yet."""

    def _check(self) -> None:
        if self._announced != self.connected:
            self._leave(StoreUnavailable("another server is the master now"))

    def _note(self) -> None:
        self._health.confirmed = self.followers.needed is not None


class SentinelMastership(Mastership):
    """The master that the sentinels of `url` name."""

    can_change = True

    def __init__(self, url: str, least: int, timeout_s: float) -> None:
        super().__init__(url, least)
        self._url, self._timeout_s = url, timeout_s
        self._missed = asyncio.Event()

    async def locate(self) -> Master:
        """Return the master to connect to. Raises StoreUnavailable."""
        self._announced = (await locate(self._url, self._timeout_s)).master
        return self._announced

    async def run(self) -> None:
        """Leave the master when the sentinels name another one, and confirm it when they still name it."""
        while True:
            self._missed.clear()
            began = monotonic()
            self.asking()
            # While no sentinel answers, or a failover is in progress, the master remains the same, unconfirmed.
            with suppress(StoreUnavailable):
                found = await locate(self._url, self._timeout_s)
                self.announce(found.master)
                if self._is_certain(found, began) and self._is_over(found, began):
                    self.confirm()
            if self.followers.undecided:
                self.miss()
            await asyncio.sleep(FOLLOW_LEAST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(FOLLOW_S):
                    await self._missed.wait()

    def _is_certain(self, found: Found, began: float) -> bool:
        """Return whether the answer to a question that began at `began` confirms the master.

        A few sentinels, cut off together with the master, do not know that the others have replaced it. Most of them
        may still lack the one that has just led a failover. Then a replica that was promoted is missing, so they are
        believed only some time after a replica was last missing. A new election is known to those who took part in it.
        """
        steady = began - self.followers.steady_since >= SURE_S
        return found.by_all or (found.by_majority and (steady or self._is_new))

    def _is_over(self, found: Found, began: float) -> bool:
        """Return whether no failover can begin any more because the master was away before its replicas were counted.

        A sentinel considers a master up until it has been silent for `down-after-milliseconds`. A master that is back
        from a short absence can be found up by all sentinels and still be replaced, by a replica that has not come back
        to it and lacks its new records. Once the master has answered a sentinel, this sentinel needs a new silence.
        """
        return not self.followers.lacks(found.replicas) or began - found.heard_s > self.followers.steady_since

    def miss(self) -> None:
        """Ask the sentinels soon."""
        self._missed.set()


class ShardMastership(Mastership):
    """The master of the shard from `first_slot`. Its owner announces it, and discovers the cluster on `doubted`."""

    can_change = True

    def __init__(self, first_slot: int, least: int, doubted: asyncio.Event) -> None:
        super().__init__("", least)
        self._first_slot, self._doubted = first_slot, doubted

    async def locate(self) -> Master:
        """Return the master to connect to. Raises StoreUnavailable."""
        if not self._announced.url:
            raise StoreUnavailable("no shard of the cluster is known yet")
        return self._announced

    async def handshake(self, connection: AbstractConnection, master: Master) -> str:
        """Open the connection and return the incarnation, with the reign that the server itself reports."""
        run_id = await handshake(connection)
        # Query this server itself, because it will answer the calls. The views of other nodes may be out of date.
        myself = await own_view(connection)
        if myself is None or myself.first != self._first_slot:
            raise StoreRefused("its slots have moved")
        return Master(master.url, myself.reign).incarnation(run_id)

    def miss(self) -> None:
        """Request a discovery of the cluster, which confirms the master."""
        self._doubted.set()


def mastership_of(url: str, least: int, timeout_s: float) -> Mastership:
    """Return the mastership for a URL of the settings that is not that of a cluster."""
    return Mastership(url, least) if read_redis_url(url) is None else SentinelMastership(url, least, timeout_s)


def _nowhere(_: Exception) -> None:
    """Do nothing: there is no connection."""
