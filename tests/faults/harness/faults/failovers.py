"""Masters that are replaced on command, replicas and sentinels that are away, and slots that move."""

import random
from typing import ClassVar

from redis import Redis

from compliance.numbers import E164
from compliance.redis_schema import slot_of_number
from lab.redis import RedisServer
from lab.sentinel import NAME, Sentinel
from tests.faults.harness.faults.fault import CannotBegin, Fault
from tests.faults.harness.faults.servers import OnMaster, OnServer, revive
from tests.faults.harness.pool import CHANGING
from tests.faults.harness.redises import AWAY, Replicas, Shards, client_of
from tests.faults.harness.stack import FaultStack
from tests.faults.harness.stated import FAILED_OVER_S, FORWARD_S, REPLICA_GONE_S, SLOTS_MOVED_S

REPLACED_WITHIN_S = 5.0
"""How long a failover on command may take. It is the end of the fault."""


def _replicas(stack: FaultStack) -> Replicas:
    assert isinstance(stack.redises, Replicas)
    return stack.redises


def _shards(stack: FaultStack) -> Shards:
    assert isinstance(stack.redises, Shards)
    return stack.redises


class SentinelFailover(Fault):
    """SENTINEL FAILOVER replaces a living master."""

    kind, back_within_s, holds_s, redis = "sentinel-failover", FAILED_OVER_S, (0.0, 0.0), ("sentinel",)

    def begin(self, stack: FaultStack) -> None:
        watched = _replicas(stack).watched
        self.target = "master"
        try:
            self._old = watched.master
            with Redis(port=watched.sentinels[0].port, socket_timeout=2) as client:
                client.execute_command("SENTINEL", "FAILOVER", NAME)
        except AWAY as error:
            raise CannotBegin(f"Sentinel refuses: {error}") from error

    def end(self, stack: FaultStack) -> None:
        stack.wait_for(lambda: _replicas(stack).watched.master is not self._old, REPLACED_WITHIN_S)


class SentinelKilled(Fault):
    """One of three sentinels is away."""

    kind, back_within_s, holds_s, redis = "sentinel-kill", FORWARD_S, (0.5, 4.0), ("sentinel",)

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self._at = draw.randrange(3)
        self.target = f"sentinel-{self._at}"

    def _sentinel(self, stack: FaultStack) -> Sentinel:
        return _replicas(stack).watched.sentinels[self._at]

    def begin(self, stack: FaultStack) -> None:
        self._sentinel(stack).kill()

    def end(self, stack: FaultStack) -> None:
        self._sentinel(stack).start()


class _OfReplica(OnServer):
    redis = ("sentinel", "cluster")
    back_within_s, holds_s = REPLICA_GONE_S, (0.5, 4.0)

    def candidates(self, stack: FaultStack, masters: list[RedisServer]) -> list[RedisServer]:
        return [one for one in stack.redises.servers if one not in masters]


class ReplicaKilled(_OfReplica):
    kind = "replica-kill"

    def begin(self, stack: FaultStack) -> None:
        self.choose(stack).running.kill()

    def end(self, stack: FaultStack) -> None:
        revive(stack, self.chosen)


class ReplicaPaused(_OfReplica):
    kind = "replica-pause"

    def begin(self, stack: FaultStack) -> None:
        self.choose(stack).running.pause()

    def end(self, stack: FaultStack) -> None:
        del stack
        self.chosen.running.resume()


class ClusterFailover(OnMaster):
    """A replica takes over from a living master in agreement with it."""

    kind, back_within_s, holds_s, redis = "cluster-failover", FAILED_OVER_S, (0.0, 0.0), ("cluster",)
    word: ClassVar[str] = ""

    def begin(self, stack: FaultStack) -> None:
        cluster, master = _shards(stack).cluster, self.choose(stack)
        try:
            shard = next(one for one in cluster.topology().shards if one.address.endswith(f":{master.port}"))
            self.replica = next(one for one in cluster.servers_of(shard) if one is not master)
            with client_of(self.replica) as client:
                client.execute_command(*("CLUSTER", "FAILOVER", self.word)[: 3 if self.word else 2])
        except AWAY as error:
            raise CannotBegin(f"no replica takes over: {error!r}") from error

    def end(self, stack: FaultStack) -> None:
        stack.wait_for(lambda: self.replica in stack.redises.masters(), REPLACED_WITHIN_S)


class ClusterFailoverForce(ClusterFailover):
    """A replica takes over without asking its master."""

    kind, word = "cluster-failover-force", "FORCE"


class ClusterFailoverTakeover(ClusterFailover):
    """A replica takes over without asking anybody."""

    kind, word = "cluster-failover-takeover", "TAKEOVER"


class SlotsMoved(Fault):
    """Some slots with their keys move to another shard."""

    kind, back_within_s, holds_s, redis = "slots-move", SLOTS_MOVED_S, (0.0, 0.0), ("cluster",)

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self._slots = {slot_of_number(E164(number)) for number in draw.sample(CHANGING, 2)} | {draw.choice((0, 1))}

    def begin(self, stack: FaultStack) -> None:
        self.target = ",".join(map(str, sorted(self._slots)))
        for slot in sorted(self._slots):
            _shards(stack).cluster.move(slot)
