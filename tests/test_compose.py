"""The containers: each program gets only the networks, passwords and rights in Redis that it needs."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from redis import Redis
from redis.exceptions import NoPermissionError

from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection
from tests.support.programs import Program, run

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PASSWORD = "s3cret"
LISTED, FREE, LEAD = "+14155550100", "+14155550199", "lead-1"


def users() -> dict[str, list[str]]:
    """Return the rules of each user of Redis in the compose file, with one password for all."""
    words = [re.sub(r"\$\{[^}]*\}", PASSWORD, word) for word in SERVICES["redis"]["command"]]
    starts = [place for place, word in enumerate(words) if word.startswith("--")]
    options = [words[start:end] for start, end in pairwise([*starts, len(words)])]
    return {name: rules for option, name, *rules in options if option == "--user"}


@pytest.fixture
def redis(short_path: Path) -> Iterator[RedisServer]:
    with RedisServer(short_path / "r") as server:
        with Redis(unix_socket_path=str(server.socket)) as client:
            server.handmade = HandmadeProjection(server)
            server.handmade.put_on(LISTED)
            server.handmade.grant(LISTED, LEAD, datetime.now(UTC) + timedelta(days=1))
            for name, rules in users().items():
                if name != "default":
                    client.execute_command("ACL", "SETUSER", name, "reset", *rules)
        yield server


def url(redis: RedisServer, user: str) -> str:
    return f"unix://{user}:{PASSWORD}@{redis.socket}"


def calls_of(redis: RedisServer, command: str) -> int:
    """Return how often a command has been called."""
    with Redis(unix_socket_path=str(redis.socket)) as client:
        return client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)


def refused(redis: RedisServer) -> list[dict]:
    """Return what Redis has refused to its users."""
    with Redis(unix_socket_path=str(redis.socket)) as client:
        return client.acl_log()


def test_the_gate_works_with_its_few_rights(redis: RedisServer, short_path: Path):
    with GateProcess(short_path / "gate", url(redis, "gate"), DNC_DEADLINE_MS="1000") as gate:
        gate.until_ready()
        assert gate.screen(FREE).allowed
        assert gate.screen(LISTED, LEAD).allowed
        assert gate.screen(LISTED).reason == "internal-dnc"
        beats = calls_of(redis, "zadd")
        gate.process.wait_until(lambda: calls_of(redis, "zadd") >= beats + 2, within_s=60)
        assert gate.get("/readyz") == (200, "ready\n")
    # It leaves too. Redis logs each command that it refuses.
    assert refused(redis) == []


@pytest.mark.parametrize(
    "command",
    [
        ("SREM", "dnc:1:internal:{1415555}", 100), ("SET", "dnc:lease", "x"), ("HSET", "dnc:state", "generation", 2),
        ("SET", "dnc:1:override:{1415555}:100:x", "x"), ("DEL", "dnc:state"), ("XDEL", "dnc:decisions", "1-1"),
        ("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("ACL", "LIST"), ("SHUTDOWN",),
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_the_gate_can_change_no_list_and_no_override(redis: RedisServer, command: tuple):
    client = Redis(unix_socket_path=str(redis.socket), username="gate", password=PASSWORD)
    with client, pytest.raises(NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize("command", [("FLUSHALL",), ("ACL", "SETUSER", "x"), ("SHUTDOWN",), ("KEYS", "*")])
def test_site_and_worker_can_neither_empty_nor_administer_redis(redis: RedisServer, command: tuple):
    client = Redis(unix_socket_path=str(redis.socket), username="admin", password=PASSWORD)
    with client, pytest.raises(NoPermissionError):
        client.execute_command(*command)


def test_the_worker_works_with_its_rights(redis: RedisServer, short_path: Path):
    settings = {"DNC_REDIS_URL": url(redis, "admin"), "DNC_DATA_DIR": str(short_path)}
    assert run("admin_web", ["migrate"], settings).returncode == 0
    worker = Program("admin_web", ["worker"], short_path / "worker.log", settings)
    try:
        with Redis(unix_socket_path=str(redis.socket)) as client:
            client.delete("dnc:lease")
            # The new database knows nothing of what Redis holds, so the worker recovers it first.
            worker.wait_until(lambda: bool(client.exists("dnc:lease")), within_s=60)
    finally:
        worker.kill()
    for words in (["rebuild"], ["suppress", FREE], ["verify"]):
        ended = run("admin_web", words, settings)
        assert ended.returncode == 0, ended.stderr
    assert refused(redis) == []


def test_the_default_user_of_redis_is_off():
    assert users()["default"] == ["off"]


def test_the_pbx_has_no_password_and_reaches_the_gate_alone():
    pbx = SERVICES["pbx"]
    assert not re.search("PASSWORD|REDIS|DATABASE", str(pbx["environment"]))
    assert set(pbx["networks"]) == {"calls"}
    beside = {name for name, service in SERVICES.items() if "calls" in service["networks"]}
    assert beside.isdisjoint({"redis", "postgres"})


def test_the_gate_has_no_way_to_the_database():
    gate = SERVICES["gate"]
    assert "records" not in gate["networks"]
    assert not re.search("POSTGRES|PGPASSWORD|DATABASE", str(gate["environment"]))


def test_the_gate_accepts_the_network_of_the_calls():
    subnet = COMPOSE["networks"]["calls"]["ipam"]["config"][0]["subnet"]
    assert SERVICES["gate"]["environment"]["DNC_AGI_PEERS"] == str(ip_network(subnet))
    assert COMPOSE["networks"]["redis"]["internal"]
    assert COMPOSE["networks"]["records"]["internal"]
