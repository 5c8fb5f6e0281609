"""The gate is not ready while Redis would refuse the record of a call, and strangers read no addresses."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from agi_gate.metrics import Metrics
from agi_gate.serving import heartbeat
from agi_gate.serving.backend import utc_now
from agi_gate.serving.heartbeat import HeartbeatSender
from agi_gate.serving.observer import UNREACHABLE, observer_pages, public_doubt
from agi_gate.store.link import Link
from compliance.redis_records import GateHeartbeat
from compliance.redis_schema import WRITING_PROBE
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection

Damage = Callable[[Redis], object]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("r"), options={"stop-writes-on-bgsave-error": "yes"}) as server:
        yield server


@asynccontextmanager
async def beating(url: str, replicas: int = 0) -> AsyncIterator[Link]:
    """Run a link with its heartbeats; yield it when it is ready or its health says why it is not."""
    link = Link(url, timeout_s=2, replicas=replicas)
    status = GateHeartbeat("127.0.0.1:4573", utc_now(), 1, "", 0, 0, 0)
    sender = HeartbeatSender(link, "gate", lambda: status, utc_now)
    running = [asyncio.create_task(work) for work in (link.run(), sender.run())]
    yield link
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def until(link: Link, doubt: str) -> None:
    async with asyncio.timeout(20):
        while link.health.doubt.split(": ")[0] != doubt:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)


def allow(redis: Redis, command: str) -> None:
    redis.execute_command("ACL", "SETUSER", "default", command)


def fail_to_save(redis: Redis) -> None:
    """Let a snapshot fail, as on a full disk or after the directory was removed."""
    redis.config_set("save", "3600 1000000")
    with suppress(RedisError):
        redis.bgsave()


@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        (lambda r: r.config_set("maxmemory", 1), lambda r: r.config_set("maxmemory", 0)),
        (lambda r: r.replicaof("127.0.0.1", 1), lambda r: r.replicaof("NO", "ONE")),
        (lambda r: r.config_set("min-replicas-to-write", 1), lambda r: r.config_set("min-replicas-to-write", 0)),
        (lambda r: allow(r, "-xadd"), lambda r: allow(r, "+xadd")),
    ],
    ids=["out-of-memory", "read-only-replica", "too-few-replicas-for-redis", "append-not-allowed"],
)
async def test_a_gate_is_not_ready_while_redis_refuses_records(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, damage: Damage, repair: Damage
):
    monkeypatch.setattr(heartbeat, "HEARTBEAT_S", 0.02)
    handmade = HandmadeProjection(server)
    async with beating(server.url) as link:
        await until(link, "")
        try:
            damage(handmade.redis)
            await until(link, "record-unavailable")
        finally:
            repair(handmade.redis)
        await until(link, "")
    assert not handmade.redis.exists(WRITING_PROBE), "the probe writes nothing"


async def test_a_gate_is_not_ready_while_too_few_replicas_have_its_records(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(heartbeat, "HEARTBEAT_S", 0.02)
    HandmadeProjection(server)
    async with beating(server.url, replicas=1) as link:
        await until(link, "record-unavailable")
        assert "too few replicas" in link.health.doubt


def test_while_redis_cannot_write_its_files_readyz_is_503_and_names_no_path(short_path: Path):
    redis_server = RedisServer(short_path / "r", options={"stop-writes-on-bgsave-error": "yes"}).start()
    handmade = HandmadeProjection(redis_server)
    with GateProcess(short_path / "gate", redis_server.url, DNC_DEADLINE_MS="1000") as gate:
        gate.until_ready()
        shutil.rmtree(short_path / "r")
        fail_to_save(handmade.redis)
        gate.process.wait_until(lambda: gate.get("/readyz")[0] == 503)
        assert gate.screen("+14155550199").reason == "record-unavailable"
        said = gate.get("/readyz")[1]
        assert said.startswith("record-unavailable: Redis refuses to record calls")
        assert gate.metric("dnc_gate_ready") == 0
        handmade.redis.config_set("stop-writes-on-bgsave-error", "no")
        gate.until_ready()
        assert "MISCONF" in gate.process.log_end()
    redis_server.kill()


@pytest.mark.parametrize(
    ("doubt", "said"),
    [
        ("", ""),
        ("no-lease", "no-lease"),
        ("the shard from slot 5461: no-lease", "the shard from slot 5461: no-lease"),
        ("Error 111 connecting to 10.0.0.7:6379. Connection refused.", UNREACHABLE),
        ("there is no such socket: /var/lib/dnc/redis.sock", UNREACHABLE),
        ("no sentinel names the master crm (10.0.0.7:26379: no answer)", UNREACHABLE),
        ("the shard from slot 0: Error 111 connecting to 10.0.0.7:6379.", f"the shard from slot 0: {UNREACHABLE}"),
        ("record-unavailable: MISCONF /var/lib", public_doubt("record-unavailable")),
    ],
)
def test_readyz_tells_strangers_no_address_and_no_path(doubt: str, said: str):
    assert public_doubt(doubt) == said
    assert "10.0" not in said
    assert "/var" not in said


def test_the_page_shows_only_what_strangers_may_read():
    snapshot = Metrics().snapshot(Link("redis://10.0.0.7:6379/0", timeout_s=1), Nothing())
    snapshot["doubt"] = "Error 111 connecting to 10.0.0.7:6379."
    page = observer_pages(lambda: [snapshot], 1)["/readyz"]()
    assert (page.status, page.body.decode()) == (503, f"{UNREACHABLE}\n")


class Nothing:
    backlog = dropped = on_disk = 0
