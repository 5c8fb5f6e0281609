"""A Redis Cluster under faults of masters and slots: no listed number is allowed, and no record is lost."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from compliance.cluster import SLOTS
from compliance.numbers import E164
from compliance.redis_schema import Keys, slot_of_number
from lab.cluster import RedisCluster
from tests.support.stack import Callers, Stack

LEASE_S = 10.0
SETTINGS = {"DNC_REPLICAS": "1", "DNC_DEADLINE_MS": "1000", "DNC_LEASE_S": str(LEASE_S)}
"""A generous deadline: the decisions are tested, not the speed of a busy machine."""
FAILOVER_S = 20.0
"""Maximum seconds for a failover: one until a master is considered dead, an election, and a busy machine."""

TAKEOVERS = 3

LISTED = [f"+1415{exchange}0100" for exchange in range(200, 260)]
"""Numbers in sixty exchanges, so that every shard has some of them."""
FREE = [f"+1415{exchange}0{line}" for exchange in range(200, 260) for line in (101, 102)]
LEAD = "lead-1"


@pytest.fixture
def stack(cluster: RedisCluster, database_url: str, short_path: Path) -> Iterator[Stack]:
    with Stack(short_path / "whole", cluster, database_url, **SETTINGS) as stack:
        (short_path / "listed.txt").write_text("\n".join(LISTED))
        stack.admin("import", "internal", str(short_path / "listed.txt"))
        yield stack


def slot(number: str) -> int:
    return slot_of_number(E164(number))


def someone() -> tuple[str, str]:
    return random.choice([random.choice(LISTED), random.choice(FREE)]), LEAD


def allowed_wrongly(callers: Callers) -> list[str]:
    return [dialed for dialed, _, answer in callers.answers if dialed in LISTED and answer.allowed]


def test_numbers_are_judged_right_on_every_shard(cluster: RedisCluster, stack: Stack):
    assert {cluster.topology().owner(slot(number)) for number in LISTED} == set(cluster.topology().shards)
    assert {stack.gate.screen(number).reason for number in LISTED} == {"internal-dnc"}
    assert {stack.gate.screen(number).reason for number in FREE} == {"not-listed"}
    assert stack.gate.screen("+1").reason == "invalid-number"
    assert "No difference." in stack.admin("verify")


def test_a_call_on_no_list_is_asked_and_recorded_in_one_step_on_every_shard(cluster: RedisCluster, stack: Stack):
    for number in FREE:
        stack.gate.screen(number)
    masters = {shard.first: cluster.client_of(shard.first) for shard in cluster.topology().shards}
    for master in masters.values():
        master.config_resetstat()
    before = recorded(masters)
    assert {stack.gate.screen(number).reason for number in FREE} == {"not-listed"}
    done = [master.info("commandstats") for master in masters.values()]
    for command in ("evalsha", "sismember"):
        assert sum(each[f"cmdstat_{command}"]["calls"] for each in done) == len(FREE), command
    # Not the number of XADD: each heartbeat of the gate sends one, which appends nothing.
    assert recorded(masters) - before == len(FREE)


def recorded(masters: dict[int, Redis]) -> int:
    """Return how many decisions have been appended, with those that the worker has archived and removed."""
    return sum(master.xinfo_stream(Keys(first).decisions)["entries-added"] for first, master in masters.items())


def test_what_is_recorded_is_in_force_on_the_next_call_on_every_shard(
    cluster: RedisCluster, stack: Stack, short_path: Path
):
    document = short_path / "consent.pdf"
    document.write_bytes(b"%PDF-1.4\n%%EOF\n")
    grant = "--basis", "signed-consent", "--consented-on", "2026-01-02", "--document", str(document), "--attest"
    for shard in cluster.topology().shards:
        number = next(number for number in FREE if shard.owns(slot(number)))
        lead = f"lead-{shard.first}"
        assert stack.gate.screen(number, lead).allowed
        assert "in force" in stack.admin("suppress", number, "--asked-on", "2026-01-01")
        assert stack.gate.screen(number, lead).reason == "internal-dnc"
        said = stack.admin("override", "grant", "--lead", lead, "--number", number, *grant)
        assert stack.gate.screen(number, lead).reason == "override"
        assert not stack.gate.screen(number, "another").allowed
        stack.admin("override", "revoke", said.split()[1], "--reason", "asked for")
        assert stack.gate.screen(number, lead).reason == "internal-dnc"
        stack.admin("lift", number, "--reason", "asked for")
        assert stack.gate.screen(number, lead).reason == "not-listed"
    assert "No difference." in stack.admin("verify")


def test_a_rebuild_under_load_lets_nothing_through_and_stops_nothing(stack: Stack):
    with Callers(stack, someone) as callers:
        for _ in range(2):
            callers.until_allowed(100)
            stack.admin("rebuild")
        callers.until_allowed(100)
    assert not allowed_wrongly(callers)
    assert {answer.reason for _, _, answer in callers.answers} == {"internal-dnc", "not-listed"}
    assert "No difference." in stack.admin("verify")


def test_a_master_that_is_killed_under_load_is_replaced_and_nothing_is_lost(cluster: RedisCluster, stack: Stack):
    lost = [number for number in FREE if slot(number) <= cluster.topology().shards[0].ranges[-1][1]]
    with Callers(stack, someone) as callers:
        callers.until_allowed(100)
        began = time.monotonic()
        killed = cluster.kill_master(0)
        cluster.until_replaced(killed, 0)
        stack.gate.until("not-listed", lost[0], within_s=FAILOVER_S + LEASE_S)
        assert time.monotonic() - began < FAILOVER_S + LEASE_S
        killed.start()
        cluster.until_at_rest()
        callers.until_allowed(100)
    meanwhile = [answer for dialed, _, answer in callers.answers if dialed in FREE and dialed not in lost]
    assert {answer.reason for answer in meanwhile} == {"not-listed"}
    assert not allowed_wrongly(callers)
    allowed = [answer.decision for _, _, answer in callers.answers if answer.allowed]
    records = stack.until_archived(set(allowed))
    assert {records[decision][0] for decision in allowed} == {"ALLOW"}
    assert len(allowed) == len(set(allowed))
    assert "No difference." in stack.admin("verify")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_replica_that_takes_over_by_force_under_load_leads_to_no_lost_record(cluster: RedisCluster, stack: Stack):
    own = [number for number in FREE + LISTED if cluster.topology().shards[0].owns(slot(number))]
    with Callers(stack, lambda: (random.choice(own), LEAD)) as callers:
        for _ in range(TAKEOVERS):
            callers.until_allowed(100)
            cluster.take_over(0)
            stack.gate.until("not-listed", next(iter(set(own) - set(LISTED))), within_s=FAILOVER_S + LEASE_S)
            cluster.until_at_rest()
    answered = {answer.decision: answer.allowed for _, _, answer in callers.answers if answer.decision}
    stack.until_recorded(answered)
    assert not allowed_wrongly(callers)


def test_a_block_in_force_on_the_new_master_is_obeyed_by_a_gate_that_still_hears_the_old_one(
    cluster: RedisCluster, stack: Stack
):
    first = cluster.topology().shards[0]
    number = next(number for number in FREE if first.owns(slot(number)))
    assert stack.gate.screen(number).allowed
    old = cluster.master_of(first.first)
    stack.gate.process.pause()
    old.running.pause()
    cluster.until(lambda: cluster.owner_but(old, first.first) is not None)
    until_in_force(stack, number)
    old.running.resume()
    stack.gate.process.resume()
    assert not any(stack.gate.screen(number).allowed for _ in range(50))
    assert stack.gate.until("internal-dnc", number, within_s=FAILOVER_S + LEASE_S)


def test_a_block_is_in_force_on_its_shard_while_another_shard_is_away(cluster: RedisCluster, stack: Stack):
    first, *others = cluster.topology().shards
    away, here = (next(number for number in FREE if shard.owns(slot(number))) for shard in (first, others[0]))
    for server in cluster.servers_of(first):
        server.running.kill()
    stack.admin("suppress", away, code=3)
    stack.admin("suppress", here)
    assert stack.gate.until("internal-dnc", here, within_s=FAILOVER_S).reason == "internal-dnc"
    assert not stack.gate.screen(away).allowed
    for server in cluster.servers:
        if server.running.exit_code is not None:
            server.start()
    assert stack.gate.until("internal-dnc", away, within_s=FAILOVER_S + LEASE_S)


def test_slots_that_move_under_load_lead_to_no_call(cluster: RedisCluster, stack: Stack):
    with Callers(stack, someone) as callers:
        callers.until_allowed(100)
        for number in LISTED[:2]:
            cluster.move(slot(number))
        cluster.move(0)  # A shard is named after its lowest slot, so two shards get other names.
        stack.gate.process.wait_until(lambda: stack.gate.get("/readyz")[0] == 200, within_s=FAILOVER_S + LEASE_S)
        callers.until_allowed(100)
    assert not allowed_wrongly(callers)
    # The gate is ready until it notices the last move. Then the worker rebuilds the shards with another lowest slot.
    for reason, numbers in (("internal-dnc", LISTED), ("not-listed", FREE)):
        for number in numbers:
            stack.gate.until(reason, number, within_s=FAILOVER_S + LEASE_S)
    allowed = {answer.decision for _, _, answer in callers.answers if answer.allowed}
    records = stack.until_archived(allowed)
    assert {records[decision][0] for decision in allowed} == {"ALLOW"}
    assert "No difference." in stack.admin("verify")


def test_a_slot_that_comes_without_its_numbers_leads_to_no_call(cluster: RedisCluster, stack: Stack):
    number = LISTED[0]
    with Callers(stack, lambda: (number, "")) as callers:
        cluster.move(slot(number), keys=False)
        stack.gate.until("internal-dnc", number, within_s=FAILOVER_S + LEASE_S)
    assert not allowed_wrongly(callers)


def test_a_slot_that_was_emptied_under_a_gate_that_knows_nothing_of_it_is_no_free_slot(
    cluster: RedisCluster, stack: Stack
):
    number = LISTED[0]
    stack.worker.stop()
    client = cluster.client_of(slot(number))
    client.delete(*client.cluster("GETKEYSINSLOT", slot(number), SLOTS))
    assert stack.gate.screen(number).reason == "state-unverified"
    assert stack.gate.screen(number).reason == "state-unverified"


def until_in_force(stack: Stack, number: str) -> None:
    """Block a number, and wait until that is in force, which can take a rebuild."""
    said = stack.admin("suppress", number, code=None)
    deadline = time.monotonic() + FAILOVER_S + LEASE_S
    while "not yet in force" in said:
        assert time.monotonic() < deadline, said
        said = stack.admin("suppress", number, code=None)
