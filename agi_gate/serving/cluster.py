"""All shards of a Redis Cluster behind the gate: each is asked about the numbers whose slots it owns.

Nothing of a call touches two shards, so each call is as many round trips as on one Redis, to one of them.
"""

import asyncio
from contextlib import suppress
from itertools import chain

import structlog

from agi_gate.request import Request
from agi_gate.screening import Decided
from agi_gate.serving.backing import Common, OneRedis
from agi_gate.store.health import Health
from agi_gate.store.link import FOLLOW_S
from agi_gate.store.shard import ShardLink, ShardStore
from agi_gate.store.wire import StoreUnavailable, survey
from compliance.cluster import SLOTS, Topology
from compliance.numbers import InvalidNumber
from compliance.redis_schema import slot_of_number
from compliance.redis_url import Cluster, Master

LEAST_S = 0.2
"""However many calls fail, the cluster is asked what it looks like no more often than this."""

log = structlog.get_logger()


class ManyShards:
    """All shards of a cluster, as long as they are there; each call is begun at the one that owns its number."""

    def __init__(self, common: Common, cluster: Cluster) -> None:
        self._common, self._cluster = common, cluster
        self._numbering = common.numbering
        self._doubted = asyncio.Event()
        self._topology = Topology()
        self._shards: dict[int, OneRedis] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._trouble = "no shard of the cluster is known yet"
        self._dropped = 0
        self._nowhere = self._shard(0)
        self._by_slot = [self._nowhere] * SLOTS

    @property
    def screenings(self) -> "ManyShards":
        """Begins them."""
        return self

    @property
    def health(self) -> Health:
        """How it stands with the worst of the shards."""
        if not self._shards:
            return Health(trouble=self._trouble)
        each = {first: shard.health for first, shard in sorted(self._shards.items())}
        connects = sum(one.connects for one in each.values())
        first, worst = next(((first, one) for first, one in each.items() if one.doubt), next(iter(each.items())))
        doubt = f"the shard from slot {first}: {worst.doubt}" if worst.doubt else ""
        connected = all(one.connected for one in each.values())
        return Health(connected, doubt, worst.server, worst.state, worst.leased, connects)

    @property
    def backlog(self) -> int:
        """How many decisions wait to be recorded."""
        return sum(one.backlog for one in self._all())

    @property
    def dropped(self) -> int:
        """How many never were."""
        return self._dropped + sum(one.dropped for one in self._all())

    def begin(self, request: Request, decided: Decided) -> None:
        """Screen a call at the shard of its number; one without a number, at any shard that can record it."""
        number = self._numbering.read(request.arguments[0]) if request.arguments else InvalidNumber("malformed")
        shard = self._any() if isinstance(number, InvalidNumber) else self._by_slot[slot_of_number(number)]
        shard.screenings.begin(request, decided)

    async def run(self) -> None:
        """Follow the cluster, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._doubted.clear()
                await self._look_around(tasks)
                with suppress(TimeoutError):
                    async with asyncio.timeout(FOLLOW_S):
                        await self._doubted.wait()
                await asyncio.sleep(LEAST_S)

    async def leave(self) -> None:
        """Say that this process ends."""
        await asyncio.gather(*(shard.leave() for shard in self._shards.values()))

    async def _look_around(self, tasks: asyncio.TaskGroup) -> None:
        try:
            found = await survey(self._cluster, self._topology.addresses, self._common.timeout_s)
        except StoreUnavailable as error:  # As long as nobody answers, the cluster stays what it was.
            self._trouble = str(error)
            return
        if found != self._topology:
            self._topology = found
            self._rearrange(found, tasks)
        if (shard := self._any()) is not self._nowhere:
            _hand_over(self._nowhere, shard)

    def _rearrange(self, found: Topology, tasks: asyncio.TaskGroup) -> None:
        log.info("redis cluster", shards={shard.first: shard.address for shard in found.shards})
        for first in self._shards.keys() - {shard.first for shard in found.shards}:
            self._running.pop(first).cancel()
            gone = self._shards.pop(first)
            self._dropped += gone.dropped
            _hand_over(gone, self._nowhere)
        for shard in found.shards:
            self._follow(shard.first, self._cluster.master(shard), tasks)
        owners = [found.owner(slot) for slot in range(SLOTS)]
        self._by_slot = [self._shards[owner.first] if owner else self._any() for owner in owners]

    def _follow(self, first: int, master: Master, tasks: asyncio.TaskGroup) -> None:
        shard = self._shards.get(first)
        if shard is None:
            shard = self._shards[first] = self._shard(first)
            self._running[first] = tasks.create_task(shard.run())
        link = shard.link
        assert isinstance(link, ShardLink)  # noqa: S101 - made below
        link.follow(master)

    def _shard(self, first: int) -> OneRedis:
        common = self._common
        link = ShardLink(first, self._doubted, timeout_s=common.timeout_s, replicas=common.settings.replicas)
        return OneRedis(common, link, ShardStore(link))

    def _any(self) -> OneRedis:
        """Give a shard that is connected, if there is one."""
        connected = (shard for shard in self._shards.values() if shard.health.connected)
        return next(connected, next(iter(self._shards.values()), self._nowhere))

    def _all(self) -> chain[OneRedis]:
        return chain([self._nowhere], self._shards.values())


def _hand_over(giver: OneRedis, taker: OneRedis) -> None:
    """Have the decisions that wait at one shard recorded by another."""
    for decision in giver.log.give_away():
        taker.log.note(decision)
