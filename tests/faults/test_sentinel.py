"""A master under Sentinel is killed, silent, or without replicas: no listed number is allowed, no record is lost."""

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from lab.process import NotInstalled
from lab.redis import RedisServer
from lab.sentinel import NAME, Watched
from tests.conftest import unavailable
from tests.support.stack import Callers, Stack

LISTED = "+14155550100"
LATER = "+14155550101"
LEASE_S = 10.0
SETTINGS = {"DNC_REPLICAS": "1", "DNC_DEADLINE_MS": "1000", "DNC_LEASE_S": str(LEASE_S)}
FAILOVER_S = 20.0
"""Maximum seconds for a failover: half a second until the master is considered dead, an election, and up to 13 seconds
until Sentinel makes the other replica follow the new master (measured by `python -m bench.failover`)."""

AWAY_S = 0.2
"""A sentinel that loses a master connects again within a tenth of a second, and after that once a second. In between
the master can come back unnoticed."""

SILENCES_S = (0.8, 1.1)
"""Silences of a master. The sentinels promote a replica about 0.6 to 1.3 seconds after its last sign of life."""


@pytest.fixture
def watched(short_path: Path) -> Iterator[Watched]:
    watched = Watched(short_path / "redis", replicas=2)
    try:
        watched.start()
        yield watched
    except NotInstalled as error:
        unavailable(error)
    finally:
        watched.stop()


@pytest.fixture
def stack(watched: Watched, database_url: str, short_path: Path) -> Iterator[Stack]:
    with Stack(short_path / "whole", watched, database_url, **SETTINGS) as stack:
        stack.admin("suppress", LISTED)
        yield stack


def someone() -> tuple[str, str]:
    return random.choice([LISTED, f"+1415555{random.randrange(110, 190):04}"]), "lead-1"


def test_a_master_that_is_killed_under_load_is_replaced_and_nothing_is_lost(watched: Watched, stack: Stack):
    with Callers(stack, someone) as callers:
        for _ in range(2):
            callers.until_allowed(100)
            began = time.monotonic()
            killed = watched.kill_master()
            watched.until_replaced(killed)
            callers.until_allowed(50)
            assert time.monotonic() - began < FAILOVER_S + LEASE_S
            watched.revive(killed)
            watched.until_at_rest()
        callers.until_allowed(50)
    allowed = [answer.decision for _, _, answer in callers.answers if answer.allowed]
    records = stack.until_archived(set(allowed))
    assert {records[decision][0] for decision in allowed} == {"ALLOW"}
    assert len(allowed) == len(set(allowed))
    listed = [answer.reason for dialed, _, answer in callers.answers if dialed == LISTED and not answer.allowed]
    assert "internal-dnc" in listed
    assert not any(answer.allowed for dialed, _, answer in callers.answers if dialed == LISTED)


def silent_for(watched: Watched, seconds: float) -> None:
    """Stop the master for some seconds, about as long as the sentinels take to replace it."""
    old = watched.master.running
    old.pause()
    time.sleep(seconds)
    old.resume()


def emptied(server: RedisServer) -> None:
    """Remove the data of a server."""
    shutil.rmtree(server.directory / "appendonlydir")


def cut(server: RedisServer) -> None:
    """Remove the second half of what the server has recorded."""
    (file,) = (server.directory / "appendonlydir").glob("*.incr.aof")
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.exhaustive
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("damage", [cut, emptied])
def test_a_master_that_comes_back_with_less_before_it_is_replaced_loses_no_call_that_it_allows_then(
    watched: Watched, stack: Stack, damage
):
    master, slow, late = watched.servers
    with Callers(stack, someone) as callers:
        callers.until_allowed(100)
        # One replica does not come back to the master, and the sentinels prefer it.
        with Redis(port=slow.port) as client:
            client.config_set("replica-priority", 200)
        with Redis(port=late.port) as client:
            client.config_set("masterauth", "wrong")
        watched.until(lambda: all(one.priority(slow.port) == 200 for one in watched.sentinels))
        master.running.kill()
        damage(master)
        time.sleep(AWAY_S)
        master.start()
        back_ms = time.time_ns() // 1_000_000
        assert watched.until_replaced(master) is late
        callers.until_allowed(50)
    answered = {answer.decision for _, _, answer in callers.answers if answer.decision}
    later = {decision for decision in answered if int(decision.partition("-")[0], 16) >= back_ms}
    assert later
    stack.until_archived(later)


def replaced_on_command(watched: Watched, _: float) -> None:
    """Replace the living master."""
    with Redis(port=watched.sentinels[0].port) as sentinel:
        sentinel.execute_command("SENTINEL", "FAILOVER", NAME)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fault", [silent_for, replaced_on_command])
def test_a_master_that_lives_on_after_it_was_replaced_loses_no_record(watched: Watched, stack: Stack, fault):
    with Callers(stack, someone) as callers:
        for seconds in SILENCES_S:
            callers.until_allowed(100)
            old = watched.master
            fault(watched, seconds)
            if fault is replaced_on_command:
                watched.until_replaced(old)
            callers.until_allowed(50)
            watched.until_at_rest()
    answered = {answer.decision: answer.allowed for _, _, answer in callers.answers if answer.decision}
    stack.until_recorded(answered)


def test_a_block_in_force_on_the_new_master_is_obeyed_by_a_gate_that_still_hears_the_old_one(
    watched: Watched, stack: Stack
):
    assert stack.gate.screen(LATER).allowed
    old = watched.master
    stack.gate.process.pause()
    old.running.pause()
    watched.until_replaced(old)
    until_in_force(stack, LATER)
    old.running.resume()
    stack.gate.process.resume()
    answers = [stack.gate.screen(LATER) for _ in range(50)]
    assert not any(answer.allowed for answer in answers)
    assert stack.gate.until("internal-dnc", LATER, within_s=FAILOVER_S + LEASE_S).reason == "internal-dnc"
    assert stack.gate.until("not-listed", "+14155550199", within_s=FAILOVER_S + LEASE_S)


def test_without_the_replicas_that_are_asked_for_no_call_is_allowed_and_no_block_is_in_force(
    watched: Watched, stack: Stack
):
    # The first call fetches the terms, the second loads the script that appends. Later calls only wait for replicas.
    assert all(stack.gate.screen(LATER).allowed for _ in range(3))
    for server in watched.servers:
        if server is not watched.master:
            server.running.kill()
    assert stack.gate.screen(LATER).reason == "record-unavailable"
    assert "not yet in force" in stack.admin("suppress", LATER, code=3)
    for server in watched.servers:
        if server.running.exit_code is not None:
            watched.revive(server)
    assert stack.gate.until("internal-dnc", LATER, within_s=FAILOVER_S + LEASE_S)
    assert stack.gate.until("not-listed", "+14155550199", within_s=FAILOVER_S + LEASE_S)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_sentinel_that_never_answers_stops_no_call(watched: Watched, stack: Stack):
    silent = watched.sentinels[0].process
    assert silent is not None
    with watched.client() as client:
        silent.pause()
        client.client_kill_filter(skipme=True, _type="normal")
    assert stack.gate.until("not-listed", "+14155550199", within_s=FAILOVER_S).allowed


def until_in_force(stack: Stack, number: str) -> None:
    """Block a number, and wait until that is in force, which can take a rebuild."""
    said = stack.admin("suppress", number, code=None)
    deadline = time.monotonic() + FAILOVER_S + LEASE_S
    while "not yet in force" in said:
        assert time.monotonic() < deadline, said
        said = stack.admin("suppress", number, code=None)
