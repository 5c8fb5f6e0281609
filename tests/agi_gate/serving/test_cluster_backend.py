"""The backend over a cluster: who confirms a master, and what happens to open calls when their shard goes away."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import pytest

from agi_gate.request import Request
from agi_gate.serving import cluster as room
from agi_gate.serving.backend import ProcessContext, utc_now
from agi_gate.serving.cluster import ClusterBackend
from agi_gate.settings import GateSettings
from agi_gate.store.health import CLOCK_UNKNOWN, Health
from compliance.cluster import SLOTS, Shard, Topology
from compliance.redis_records import GateHeartbeat
from compliance.redis_url import read_redis_url
from compliance.verdict import Decision, Verdict
from tests.support.scripted_redis import FakeRedis, Reply, as_redis

CALL = Request("screen", ("+14155550100", ""), "pbx-1.1")


def owning(first: int, port: int, *, by_majority: bool = True) -> Topology:
    shard = Shard("a" * 40, f"127.0.0.1:{port}", 3, ((first, SLOTS - 1),))
    return Topology((shard,), by_majority=by_majority)


def nodes(port: int) -> bytes:
    said = b"%s 127.0.0.1:%d@1 myself,master - 0 0 3 connected 0-16383\n" % (b"a" * 40, port)
    return b"$%d\r\n%s\r\n" % (len(said), said)


class Cluster:
    """A cluster of one shard at `port`, and the gate's backend over it. `known` is what a discovery finds."""

    def __init__(self, say: Reply) -> None:
        self._say, self.port = say, 0
        self.known, self.discoveries = Topology(), 0
        settings = GateSettings(redis_url="redis+cluster://127.0.0.1:1", replicas=1, deadline_ms=1000)
        status = GateHeartbeat("127.0.0.1:4573", utc_now(), 1, "", 0, 0, 0)
        self.backend = ClusterBackend(ProcessContext(settings, "gate", lambda: status), read_redis_url(settings.redis))

    def say(self, command: list[bytes]) -> bytes:
        said = self._say(command)
        return nodes(self.port) if said and command[0] == b"CLUSTER" else said

    async def discover(self, *_: object) -> Topology:
        self.discoveries += 1
        return self.known

    async def discovered(self, more: int) -> None:
        until = self.discoveries + more
        while self.discoveries < until:
            self.backend._doubted.set()
            await asyncio.sleep(0.001)

    async def connected(self) -> None:
        while not (self.backend.health.connected and self.backend.health.state):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def clustered(
    monkeypatch: pytest.MonkeyPatch, say: Reply = as_redis, *, by_majority: bool = True
) -> AsyncIterator[Cluster]:
    cluster = Cluster(say)
    server = await asyncio.start_server(FakeRedis(cluster.say).serve, "127.0.0.1", 0)
    cluster.port = server.sockets[0].getsockname()[1]
    cluster.known = owning(0, cluster.port, by_majority=by_majority)
    monkeypatch.setattr(room, "discover", cluster.discover)
    monkeypatch.setattr(room, "LEAST_S", 0.001)
    running = asyncio.create_task(cluster.backend.run())
    try:
        async with asyncio.timeout(20):
            await cluster.connected()
            yield cluster
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        server.close()


@pytest.mark.parametrize(("looked", "doubt"), [(False, ""), (True, CLOCK_UNKNOWN)])
async def test_a_shard_says_nothing_of_the_clock_until_its_state_was_read(looked: bool, doubt: str):
    backend = Cluster(as_redis).backend
    known, other = Health(True, "", looked=True, clock_behind_s=0.0), Health(True, "refused", looked=looked)
    backend._shards = {0: SimpleNamespace(health=known), 8192: SimpleNamespace(health=other)}
    assert backend.health.clock_doubt == doubt


async def test_calls_that_are_open_when_their_shard_goes_away_are_on_record(monkeypatch: pytest.MonkeyPatch):
    recording = asyncio.Event()
    decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

    def say(command: list[bytes]) -> bytes:
        """Answer like a shard, until a decision is appended."""
        if command[0] == b"XADD" and b"NOMKSTREAM" not in command:
            recording.set()
        return b"" if recording.is_set() else as_redis(command)

    async with clustered(monkeypatch, say) as cluster:
        backend = cluster.backend
        backend.begin(CALL, decided.set_result)
        await recording.wait()
        cluster.known = owning(1, cluster.port)
        backend._doubted.set()
        decision = await decided
        assert decision.ruling.verdict is Verdict.BLOCK
        assert backend.backlog == 1
        assert backend._nowhere.backlog + sum(shard.backlog for shard in backend._shards.values()) == 1


async def test_a_master_that_may_be_replaced_soon_is_not_confirmed(monkeypatch: pytest.MonkeyPatch):
    async with clustered(monkeypatch, by_majority=False) as cluster:
        cluster.known = dataclasses.replace(owning(0, cluster.port), doubted=frozenset({0}))
        await cluster.discovered(20)
        (shard,) = cluster.backend._shards.values()
        assert not shard.health.confirmed
        cluster.known = dataclasses.replace(owning(0, cluster.port), doubted=frozenset({1}))
        while not shard.health.confirmed:
            await cluster.discovered(1)


async def test_only_a_majority_of_the_masters_confirms_the_master_of_a_shard(monkeypatch: pytest.MonkeyPatch):
    async with clustered(monkeypatch, by_majority=False) as cluster:
        await cluster.discovered(20)
        (shard,) = cluster.backend._shards.values()
        assert not shard.health.confirmed
        cluster.known = owning(0, cluster.port)
        while not shard.health.confirmed:
            await cluster.discovered(1)
        assert shard.link.mastership.followers.needed == 1
