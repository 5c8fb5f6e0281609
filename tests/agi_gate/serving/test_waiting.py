"""A gate that starts without a usable Redis waits for it. Its port is closed meanwhile, and then calls go through."""

import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from agi_gate.serving.observer import UNREACHABLE
from agi_gate.store.health import Health
from compliance.redis_url import NO_SOCKET, NOTHING_LISTENS
from lab.cluster import RedisCluster
from lab.process import Process, accepts, free_port
from lab.redis import RedisServer
from lab.sentinel import Watched
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection

LISTED, FREE = "+14155550100", "+14155550199"


@contextmanager
def waiting(directory: Path, url: str, processes: int = 1, **settings: str) -> Iterator[GateProcess]:
    """Start a gate that cannot use its Redis, and wait until it says so."""
    with GateProcess(directory, url, processes, waiting=True, DNC_DEADLINE_MS="1000", **settings) as gate:
        gate.process.wait_until(lambda: len(said(gate, "waiting for redis")) == processes)
        yield gate


def said(gate: GateProcess, event: str) -> list[dict]:
    lines = [json.loads(line) for line in gate.process.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def assert_waits(gate: GateProcess) -> None:
    assert not accepts(("127.0.0.1", gate.port)), "an open port would keep the PBX from the next gate"
    assert gate.get("/healthz")[0] == 200
    status, why = gate.get("/readyz")
    assert status == 503
    assert UNREACHABLE in why
    assert gate.metric("dnc_gate_ready") == 0


def assert_serves(gate: GateProcess, processes: int = 1) -> None:
    gate.until_ready()
    assert gate.screen(FREE).reason == "not-listed"
    assert gate.screen(LISTED).reason == "internal-dnc"
    assert len(said(gate, "waiting for redis")) == processes, "each process says once that it waits"
    # A process reports that it is ready a moment before it serves.
    gate.process.wait_until(lambda: len(said(gate, "gate serves")) >= processes)
    assert len(said(gate, "gate serves")) == processes, "and once that it serves"


@pytest.mark.parametrize("processes", [1, 2])
def test_it_waits_for_a_redis_that_is_away_and_then_serves(short_path: Path, processes: int):
    server = RedisServer(short_path / "redis", port=free_port())
    with waiting(short_path / "gate", f"redis://127.0.0.1:{server.port}", processes) as gate, server:
        # Redis is there and empty: the gate has looked at it, and blocks for a reason that is on record.
        gate.process.wait_until(lambda: accepts(("127.0.0.1", gate.port)))
        assert gate.screen(FREE).reason == "state-unverified"
        HandmadeProjection(server).put_on(LISTED)
        assert_serves(gate, processes)


def test_it_says_where_and_why_without_the_password(short_path: Path):
    with waiting(short_path / "gate", f"redis://dnc:hunter2@127.0.0.1:{free_port()}/0") as gate:
        assert_waits(gate)
        (line,) = said(gate, "waiting for redis")
        assert (line["trouble"], line["level"]) == (NOTHING_LISTENS, "warning")
        assert line["redis"].startswith("redis://127.0.0.1:")
        assert "hunter2" not in gate.process.log.read_text()
        gate.process.signal(signal.SIGTERM)
        assert gate.process.wait() == 0


def test_without_settings_it_waits_for_the_private_redis(short_path: Path):
    server = RedisServer(short_path / "redis")
    with waiting(short_path / "gate", server.url) as gate:
        assert_waits(gate)
        assert said(gate, "waiting for redis")[0]["trouble"] == NO_SOCKET
        with server:
            HandmadeProjection(server).put_on(LISTED)
            assert_serves(gate)


def policy(client: Redis, value: str) -> None:
    client.config_set("maxmemory-policy", value)


UNUSABLE: dict[str, tuple[Callable[[Redis], object], Callable[[Redis], object], str]] = {
    "may evict": (lambda r: policy(r, "allkeys-lru"), lambda r: policy(r, "noeviction"), "may evict listed numbers"),
    "is a replica": (lambda r: r.replicaof("127.0.0.1", 1), lambda r: r.replicaof("NO", "ONE"), "is a replica"),
    "wants a password": (
        lambda r: r.execute_command("ACL", "SETUSER", "default", "resetpass"),
        lambda r: r.execute_command("ACL", "SETUSER", "default", "nopass"),
        "uthentication",
    ),
    "forbids the keys": (
        lambda r: r.execute_command("ACL", "SETUSER", "default", "resetkeys"),
        lambda r: r.execute_command("ACL", "SETUSER", "default", "allkeys"),
        "did not return its state",
    ),
}


@pytest.mark.parametrize("how", UNUSABLE)
def test_it_waits_for_a_redis_that_must_not_be_used_yet(redis_server: RedisServer, short_path: Path, how: str):
    HandmadeProjection(redis_server).put_on(LISTED)
    spoil, mend, why = UNUSABLE[how]
    client = Redis(unix_socket_path=str(redis_server.socket))
    spoil(client)
    try:
        with waiting(short_path / "gate", redis_server.url) as gate:
            assert_waits(gate)
            assert why in said(gate, "waiting for redis")[0]["trouble"]
            mend(client)
            HandmadeProjection(redis_server).put_on(LISTED)
            assert_serves(gate)
    finally:
        mend(client)


def test_a_connection_over_which_no_state_was_read_is_not_reported_as_one_that_serves(
    redis_server: RedisServer, short_path: Path
):
    spoil, mend, _ = UNUSABLE["forbids the keys"]
    client = Redis(unix_socket_path=str(redis_server.socket))
    spoil(client)
    try:
        with waiting(short_path / "gate", redis_server.url) as gate:
            # The gate connects again and again meanwhile, and each time it is connected for less than a millisecond.
            assert {gate.get("/readyz") for _ in range(400)} == {(503, f"{UNREACHABLE}\n")}
    finally:
        mend(client)


def test_a_changed_cause_is_a_new_line(short_path: Path):
    server = RedisServer(short_path / "redis", options={"maxmemory-policy": "allkeys-lru"})
    with waiting(short_path / "gate", server.url) as gate, server:
        # A look at a Redis that is just starting may be a cause of its own in between.
        gate.process.wait_until(lambda: "may evict" in said(gate, "waiting for redis")[-1]["trouble"])
        assert len(said(gate, "waiting for redis")) > 1
        assert not accepts(("127.0.0.1", gate.port))


@contextmanager
def waiting_for(paused: list[Process], directory: Path, url: str) -> Iterator[GateProcess]:
    """Start a gate while processes stand still, let them go on, and yield the gate when its port is open."""
    for process in paused:
        process.pause()
    with waiting(directory, url, DNC_REPLICAS="1") as gate:
        assert_waits(gate)
        for process in paused:
            process.resume()
        gate.process.wait_until(lambda: accepts(("127.0.0.1", gate.port)))
        yield gate


def test_it_waits_for_the_sentinels(short_path: Path):
    watched = Watched(short_path / "redis").start()
    try:
        HandmadeProjection(watched.master)
        sentinels = [sentinel.process for sentinel in watched.sentinels]
        with waiting_for(sentinels, short_path / "gate", watched.url) as gate:
            # The state was written for a plain Redis. What counts here is that the replicas were already confirmed.
            assert gate.screen(FREE).reason == "state-unverified"
            assert "master-not-confirmed" not in gate.get("/readyz")[1]
    finally:
        watched.stop()


@pytest.mark.exhaustive
def test_it_waits_for_a_cluster(short_path: Path):
    cluster = RedisCluster(short_path / "redis").start()
    try:
        with waiting_for([server.running for server in cluster.servers], short_path / "gate", cluster.url):
            pass
    finally:
        cluster.stop()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_gate_whose_port_was_taken_while_it_waited_ends_with_code_2(short_path: Path, processes: int):
    server = RedisServer(short_path / "redis")
    with waiting(short_path / "gate", server.url, processes) as gate, taking(gate.port), server:
        gate.process.wait_until(lambda: f"127.0.0.1:{gate.port}: Address already in use" in gate.process.log_end())
        assert gate.process.wait() == 2


@contextmanager
def taking(port: int) -> Iterator[None]:
    """Listen on a port that another process has bound without listening, as another gate would."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


def test_a_gate_is_settled_only_when_it_knows_that_its_server_is_the_master():
    assert not Health(looked=False, confirmed=True).settled
    assert not Health(looked=True, confirmed=False).settled
    assert Health(looked=True, confirmed=True).settled
