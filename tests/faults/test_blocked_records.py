"""Every blocked call is on record: Redis is away or replaced, and the gate is killed before Redis is back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from agi_gate.canary import header, read_line
from lab.process import NotInstalled
from lab.redis import RedisServer
from lab.sentinel import Watched
from tests.conftest import unavailable
from tests.support.stack import Stack

AT_ONCE = 32
UNLISTED, EMERGENCY = "+14155550199", "911"
SETTINGS = {"DNC_LOG_LEVEL": "WARNING", "DNC_PEER_MS": "30000"}
"""The callers may be slow, because all of them share one thread."""

ARCHIVED_S = 180.0
REPLACED_S = 90.0
"""Maximum seconds until a replica is promoted."""


@pytest.fixture
def many(long: bool) -> int:
    """How many calls are placed while the gate is cut off: with `--long` three times as many as memory holds."""
    return 60_000 if long else 3_000


async def _one(port: int, dialed: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(header(dialed, "", "pbx-1.1"))
    line = await reader.readline()
    writer.write(b"200 result=0\n")
    await reader.read()
    writer.close()
    return read_line(line)["DNC_DECISION"]


async def _all(port: int, many: int, dialed: str) -> set[str]:
    decisions: set[str] = set()

    async def caller(calls: int) -> None:
        for _ in range(calls):
            decisions.add(await _one(port, dialed))

    await asyncio.gather(*(caller(many // AT_ONCE + (at < many % AT_ONCE)) for at in range(AT_ONCE)))
    return decisions


def called(stack: Stack, many: int, dialed: str = UNLISTED) -> set[str]:
    """Place calls, some at a time, and return the ids of their decisions."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_all(stack.gate.port, many, dialed))


def kept(stack: Stack, many: int) -> None:
    """Wait until so many decisions are on disk."""
    gate = stack.gate
    gate.process.wait_until(lambda: gate.metric("dnc_gate_records_on_disk") >= many)


def left(stack: Stack) -> list[Path]:
    return [*(stack.directory / "spool").iterdir()]


def test_a_gate_that_is_cut_off_and_killed_leaves_a_record_of_each_blocked_call(
    redis_server: RedisServer, database_url: str, short_path: Path, many: int
):
    with Stack(short_path / "whole", redis_server, database_url, **SETTINGS) as stack:
        redis_server.kill()
        decisions = called(stack, many) | called(stack, 10, EMERGENCY)
        assert len(decisions) == many + 10
        kept(stack, many + 10)
        stack.gate.process.kill()
        redis_server.restart()
        stack.start_gate()
        records = stack.until_archived(decisions, within_s=ARCHIVED_S)
        assert {records[one][1] for one in decisions} == {"store-unavailable", "emergency"}
        assert "records-lost" not in {reason for _, reason in records.values()}
        stack.gate.process.wait_until(lambda: not left(stack))
        assert stack.gate.metric("dnc_gate_records_dropped_total") == 0


def test_what_a_gate_that_ends_could_not_record_is_left_to_the_next(
    redis_server: RedisServer, database_url: str, short_path: Path
):
    with Stack(short_path / "whole", redis_server, database_url, **SETTINGS) as stack:
        redis_server.kill()
        decisions = called(stack, 50)
        assert stack.gate.process.stop() == 0
        assert '"records": 50' in stack.gate.process.log.read_text()
        redis_server.restart()
        stack.start_gate()
        stack.until_archived(decisions)


@pytest.fixture
def watched(short_path: Path) -> Iterator[Watched]:
    watched = Watched(short_path / "redis", replicas=2)
    try:
        yield watched.start()
    except NotInstalled as error:
        unavailable(error)
    finally:
        watched.stop()


@pytest.mark.exhaustive
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_gate_that_is_killed_during_a_failover_leaves_a_record_of_each_blocked_call(
    watched: Watched, database_url: str, short_path: Path, many: int
):
    settings = {"DNC_REPLICAS": "1", "DNC_DEADLINE_MS": "1000"}
    with Stack(short_path / "whole", watched, database_url, **SETTINGS, **settings) as stack:
        # Replicas that stand still are not promoted, so the gate stays cut off until they go on.
        old, *replicas = watched.servers
        for replica in replicas:
            replica.running.pause()
        old.running.kill()
        decisions = called(stack, many)
        kept(stack, many)
        for replica in replicas:
            replica.running.resume()
        stack.gate.process.kill()
        watched.until(lambda: watched.master is not old, within_s=REPLACED_S)
        stack.start_gate()
        stack.until_archived(decisions, within_s=ARCHIVED_S)
        stack.gate.process.wait_until(lambda: not left(stack))
