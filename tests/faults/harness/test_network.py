"""A link between a program and Redis passes on, holds back, delays or breaks what it should, and heals."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from lab.redis import RedisServer
from tests.faults.harness.network import Network

SOON_S, LATE_MS, WITHIN_S = 0.3, 300, 20


@pytest.fixture
def network(redis_server: RedisServer, short_path: Path) -> Iterator[Network]:
    network = Network(short_path, {"gate": redis_server.socket, "worker": redis_server.socket}).start()
    yield network
    network.stop()


def client(network: Network, name: str, timeout_s: float = WITHIN_S) -> Redis:
    return Redis(port=network.ports[name], socket_timeout=timeout_s, socket_connect_timeout=timeout_s)


def held(redis_server: RedisServer) -> bytes | None:
    return Redis(unix_socket_path=str(redis_server.socket)).get("key")


def test_an_open_link_passes_everything_on(network: Network):
    with client(network, "gate") as gate:
        assert gate.set("key", "x" * 200_000)
        assert len(gate.get("key")) == 200_000


def test_a_cut_link_breaks_its_connections_and_refuses_new_ones_and_no_others(network: Network):
    with client(network, "gate") as gate, client(network, "worker") as worker:
        assert gate.ping()
        network.set("gate", "cut")
        with pytest.raises(RedisError):
            gate.ping()
        assert worker.ping()
        network.set("gate", "open")
        assert gate.ping()


@pytest.mark.parametrize(("mode", "arrives"), [("silent", False), ("deaf", True)])
def test_a_silent_link_passes_nothing_on_and_a_deaf_one_no_reply(
    network: Network, redis_server: RedisServer, mode, arrives: bool
):
    with client(network, "gate", SOON_S) as gate:
        connection = gate.connection_pool.get_connection()
        network.set("gate", mode)
        connection.send_command("SET", "key", "value")
        with pytest.raises(RedisError):
            connection.read_response()
        if arrives:
            redis_server.running.wait_until(lambda: held(redis_server) == b"value")
        assert (held(redis_server) == b"value") == arrives


def test_what_was_held_back_arrives_when_the_link_is_open_again(network: Network, redis_server: RedisServer):
    with client(network, "gate") as gate:
        connection = gate.connection_pool.get_connection()
        network.set("gate", "silent")
        connection.send_command("SET", "key", "value")
        network.set("gate", "open")
        assert connection.read_response() == b"OK"
        assert held(redis_server) == b"value"


def test_a_slow_link_delays_both_directions_and_keeps_the_order(network: Network):
    with client(network, "gate") as gate:
        assert gate.ping()
        network.set("gate", "late", LATE_MS)
        began = time.monotonic()
        with gate.pipeline(transaction=False) as pipeline:
            replies = pipeline.rpush("list", 1).rpush("list", 2).lrange("list", 0, -1).execute()
        assert replies[-1] == [b"1", b"2"]
        assert time.monotonic() - began >= 2 * LATE_MS / 1000
