"""All shards of a Redis Cluster. Each call is screened on the shard that owns the slot of its number.

A call uses one shard only, so it takes as many round trips as on a single Redis.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain

from agi_gate.request import Request
from agi_gate.screening import OnDecision
from agi_gate.serving.backend import ProcessContext, RedisBackend
from agi_gate.store.health import Health
from agi_gate.store.mastership import FOLLOW_S
from agi_gate.store.notices import Notices
from agi_gate.store.shard import ShardLink, ShardStore
from agi_gate.store.wire import StoreUnavailable, discover
from compliance.cluster import SLOTS, Topology
from compliance.numbers import InvalidNumber
from compliance.redis_masters import Cluster, Master
from compliance.redis_schema import slot_of_number
from compliance.redis_url import without_secrets

LEAST_S = 0.2
"""Minimum time in seconds between two discoveries of the cluster, however many calls fail."""


class ClusterBackend:
    """The backend over a cluster: a `RedisBackend` for each shard, created and removed as the cluster changes."""

    def __init__(self, process: ProcessContext, cluster: Cluster) -> None:
        self._process, self._cluster = process, cluster
        self._numbering = process.numbering
        self._doubted = asyncio.Event()
        self._topology = Topology()
        self._shards: dict[int, RedisBackend] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._notices = Notices()
        self._trouble = "no shard of the cluster is known yet"
        self._dropped = 0
        # This backend never connects. It blocks every call, and keeps the decisions until a shard can record them.
        self._nowhere = self._shard(0)
        self._by_slot = [self._nowhere] * SLOTS

    @property
    def screener(self) -> "ClusterBackend":
        """Screens the calls. It is this object, which passes each call to its shard."""
        return self

    @property
    def health(self) -> Health:
        """The health of the first shard that cannot allow calls; if all shards can, that of the first shard.

        `connected` and `connects` are for all shards together.
        """
        if not self._shards:
            return Health(trouble=self._trouble)
        each = {first: shard.health for first, shard in sorted(self._shards.items())}
        connects = sum(one.connects for one in each.values())
        first, worst = next(((first, one) for first, one in each.items() if one.doubt), next(iter(each.items())))
        doubt = f"the shard from slot {first}: {worst.doubt}" if worst.doubt else ""
        connected = all(one.connected for one in each.values())
        return Health(
            connected, doubt, worst.server, worst.state, worst.leased, connects,
            looked=any(one.looked for one in each.values()), confirmed=all(one.settled for one in each.values()),
            clock_behind_s=_furthest([one.clock_behind_s for one in each.values() if one.looked]),
        )  # fmt: skip

    @property
    def under_way(self) -> int:
        """The number of screenings that have not ended."""
        return sum(one.under_way for one in self._all())

    @property
    def backlog(self) -> int:
        """The number of decisions that are not recorded yet."""
        return sum(one.backlog for one in self._all())

    @property
    def dropped(self) -> int:
        """The number of decisions that were lost."""
        return self._dropped + sum(one.dropped for one in self._all())

    @property
    def on_disk(self) -> int:
        """The number of decisions in the backlog that survive the end of this process."""
        return sum(one.on_disk for one in self._all())

    def begin(self, request: Request, decided: OnDecision) -> None:
        """Begin to screen a call on the shard of its number. A call without a number goes to any connected shard."""
        number = self._numbering.read(request.arguments[0]) if request.arguments else InvalidNumber("malformed")
        shard = self._any() if isinstance(number, InvalidNumber) else self._by_slot[slot_of_number(number)]
        shard.screener.begin(request, decided)

    async def run(self) -> None:
        """Discover the cluster every second, and soon after any sign of a change, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._nowhere.log.run())
            while True:
                self._doubted.clear()
                await self._discover(tasks)
                with suppress(TimeoutError):
                    async with asyncio.timeout(FOLLOW_S):
                        await self._doubted.wait()
                await asyncio.sleep(LEAST_S)

    async def leave(self) -> None:
        """Announce the end of this process on every shard."""
        await asyncio.gather(*(shard.leave() for shard in self._shards.values()))

    async def keep(self) -> None:
        """Write the backlog to disk, because this process ends."""
        await asyncio.gather(*(one.log.keep() for one in self._all()))

    async def _discover(self, tasks: asyncio.TaskGroup) -> None:
        for shard in self._shards.values():
            shard.link.mastership.asking()
        try:
            found = await discover(self._cluster, self._topology.addresses, self._process.timeout_s)
        except StoreUnavailable as error:
            # The last known topology stays in use, because the living shards still answer. Even if it is outdated, no
            # listed number is allowed: see `store/shard.py`.
            if str(error) != self._trouble:
                event = "redis cluster not found" if self._shards else "waiting for redis"
                shown = without_secrets(self._process.settings.redis)
                self._notices.note(self, "warning", event, redis=shown, trouble=str(error))
            self._trouble = str(error)
            return
        if found != self._topology:
            self._topology = found
            self._apply(found, tasks)
        # A master that is cut off together with the gate may be replaced, and takes records until it notices that. A
        # master that is back may be replaced as well, while another node still marks it as failed.
        if found.by_majority:
            for first in self._shards.keys() - found.doubted:
                self._shards[first].link.mastership.confirm()
        if (shard := self._any()) is not self._nowhere:
            # The archive merges all shards' streams, so any stream is suitable.
            self._nowhere.log.move_to(shard.log)

    def _apply(self, found: Topology, tasks: asyncio.TaskGroup) -> None:
        """Remove the backends of shards that are gone, update or add the others, and assign the slots."""
        shards = {shard.first: shard.address for shard in found.shards}
        self._notices.note(self, "info", "redis cluster", shards=shards)
        for first in self._shards.keys() - {shard.first for shard in found.shards}:
            self._running.pop(first).cancel()
            gone = self._shards.pop(first)
            self._dropped += gone.dropped  # A counter in the metrics must never decrease.
            # Its open calls end only now that its link is cancelled, and note their decisions then.
            gone.log.bequeath(self._nowhere.log)
        for shard in found.shards:
            self._follow(shard.first, self._cluster.master(shard), tasks)
        owners = [found.owner(slot) for slot in range(SLOTS)]
        self._by_slot = [self._shards[owner.first] if owner else self._any() for owner in owners]

    def _follow(self, first: int, master: Master, tasks: asyncio.TaskGroup) -> None:
        shard = self._shards.get(first)
        if shard is None:
            shard = self._shards[first] = self._shard(first)
            self._running[first] = tasks.create_task(shard.run())
        shard.link.mastership.announce(master)

    def _shard(self, first: int) -> RedisBackend:
        process = self._process
        link = ShardLink(
            first, self._doubted, timeout_s=process.timeout_s, replicas=process.settings.replicas, notices=self._notices
        )
        return RedisBackend(process, link, ShardStore(link))

    def _any(self) -> RedisBackend:
        """Return a connected shard if there is one, else any shard, else the backend that never connects."""
        connected = (shard for shard in self._shards.values() if shard.health.connected)
        return next(connected, next(iter(self._shards.values()), self._nowhere))

    def _all(self) -> chain[RedisBackend]:
        return chain([self._nowhere], self._shards.values())


def _furthest(behind: Sequence[float | None]) -> float | None:
    """Return by how much this machine's clock is behind that of any shard; None if one is not known."""
    known = [one for one in behind if one is not None]
    return max(known, default=None) if len(known) == len(behind) else None
