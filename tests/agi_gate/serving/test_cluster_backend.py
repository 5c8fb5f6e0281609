"""The backend over a cluster: what happens to open calls when their shard goes away."""

import asyncio
from contextlib import suppress

import pytest

from agi_gate.request import Request
from agi_gate.serving import cluster as room
from agi_gate.serving.backend import ProcessContext, utc_now
from agi_gate.serving.cluster import ClusterBackend
from agi_gate.settings import GateSettings
from compliance.cluster import SLOTS, Shard, Topology
from compliance.redis_records import GateHeartbeat
from compliance.redis_url import read_redis_url
from compliance.verdict import Decision, Verdict
from tests.support.scripted_redis import FakeRedis, as_redis

CALL = Request("screen", ("+14155550100", ""), "pbx-1.1")


def owning(first: int, port: int) -> Topology:
    return Topology((Shard("a" * 40, f"127.0.0.1:{port}", 3, ((first, SLOTS - 1),)),))


def nodes(port: int) -> bytes:
    said = b"%s 127.0.0.1:%d@1 myself,master - 0 0 3 connected 0-16383\n" % (b"a" * 40, port)
    return b"$%d\r\n%s\r\n" % (len(said), said)


async def test_calls_that_are_open_when_their_shard_goes_away_are_on_record(monkeypatch: pytest.MonkeyPatch):
    recording = asyncio.Event()

    def say(command: list[bytes]) -> bytes:
        """Answer like a shard, until a decision is appended."""
        if command[0] == b"XADD" and b"NOMKSTREAM" not in command:
            recording.set()
        if recording.is_set():
            return b""
        return nodes(port) if command[0] == b"CLUSTER" else as_redis(command)

    async def discover(*_: object) -> Topology:
        return known

    server = await asyncio.start_server(FakeRedis(say).serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    known = owning(0, port)
    monkeypatch.setattr(room, "discover", discover)
    settings = GateSettings(redis_url="redis+cluster://127.0.0.1:1", replicas=1, deadline_ms=1000)
    status = GateHeartbeat("127.0.0.1:4573", utc_now(), 1, "", 0, 0, 0)
    backend = ClusterBackend(ProcessContext(settings, "gate", lambda: status), read_redis_url(settings.redis))
    running = asyncio.create_task(backend.run())
    decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
    try:
        async with asyncio.timeout(20):
            while not (backend.health.connected and backend.health.state):  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.005)
            backend.begin(CALL, decided.set_result)
            await recording.wait()
            known = owning(1, port)
            backend._doubted.set()
            decision = await decided
        assert decision.ruling.verdict is Verdict.BLOCK
        assert backend.backlog == 1
        assert backend._nowhere.backlog + sum(shard.backlog for shard in backend._shards.values()) == 1
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        server.close()
