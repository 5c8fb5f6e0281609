"""Heartbeats show the site which gates are alive and their state. A failed heartbeat affects no call."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agi_gate.serving.heartbeat import SILENT_MS, heartbeat_commands
from compliance.redis_records import GateHeartbeat, read_heartbeat
from compliance.redis_schema import GATES, STATE, epoch_ms, gate_key
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection
from tests.support.records import AT

LISTED, FREE = "+14155550100", "+14155550199"


@pytest.fixture
def handmade(redis_server: RedisServer) -> HandmadeProjection:
    handmade = HandmadeProjection(redis_server, generation=3)
    handmade.put_on(LISTED)
    return handmade


@pytest.fixture
def two(handmade: HandmadeProjection, redis_server: RedisServer, short_path: Path) -> Iterator[GateProcess]:
    with GateProcess(short_path / "gate", redis_server.url, processes=2, DNC_DEADLINE_MS="1000") as gate:
        gate.until_ready()
        gate.process.wait_until(lambda: len(names(handmade)) == 2)
        yield gate


def names(handmade: HandmadeProjection) -> list[str]:
    return [name.decode() for name in handmade.redis.zrange(GATES, 0, -1)]


def beats(handmade: HandmadeProjection) -> list[GateHeartbeat]:
    values = handmade.redis.mget([gate_key(name) for name in names(handmade)])
    return [read_heartbeat(value) for value in values if value]


def test_each_process_is_heard_of_under_the_name_that_its_decisions_bear(two, handmade):
    two.screen(FREE)
    assert handmade.decisions()[-1].gate in names(handmade)
    assert {beat.listens for beat in beats(handmade)} == {f"127.0.0.1:{two.port}"}
    two.process.wait_until(lambda: sum(beat.calls for beat in beats(handmade)) == 1)
    two.process.wait_until(lambda: {(beat.generation, beat.doubt) for beat in beats(handmade)} == {(3, "")})


def test_a_gate_says_why_it_can_allow_no_call(two, handmade):
    handmade.redis.delete(STATE)
    two.process.wait_until(lambda: {beat.doubt for beat in beats(handmade)} == {"no-state"})


def test_a_gate_that_is_stopped_takes_leave(two, handmade):
    two.process.stop()
    assert names(handmade) == []
    assert handmade.redis.keys(gate_key("*")) == []


def test_a_gate_that_is_killed_is_missed_and_its_last_beat_goes(two, handmade):
    victim = names(handmade)[0]
    os.kill(int(victim.rpartition(":")[2]), signal.SIGKILL)
    assert 0 < handmade.redis.pttl(gate_key(victim)) <= SILENT_MS
    two.process.wait_until(lambda: not handmade.redis.exists(gate_key(victim)))
    assert victim in names(handmade)


def test_a_redis_that_takes_no_heartbeat_stops_no_call(two, handmade):
    handmade.redis.acl_setuser("default", commands=["-set", "-zadd"])
    two.process.wait_until(lambda: handmade.redis.keys(gate_key("*")) == [])
    assert two.screen(FREE).allowed
    assert two.screen(LISTED).reason == "internal-dnc"


def test_names_that_nobody_heard_of_for_an_hour_are_forgotten(handmade):
    handmade.redis.zadd(GATES, {"gone": epoch_ms(AT) - 3_600_000, "silent": epoch_ms(AT) - 3_599_999})
    for command in heartbeat_commands("new", GateHeartbeat("127.0.0.1:4573", AT, 3, "", 0, 0, 0), AT):
        handmade.redis.execute_command(*command)
    assert names(handmade) == ["silent", "new"]
