"""A Redis that evicts keys: calls stop while it may evict listed numbers, and until none is known to be missing."""

from collections.abc import AsyncIterator
from time import monotonic

import pytest
from structlog.testing import capture_logs

from admin_web.projection import drift
from admin_web.projection.drain import Sides
from admin_web.projection.eviction import Evictions, read_evictions, recorded_evictions
from admin_web.projection.live import LiveProjection, ProjectionLost, StoreUnfit
from admin_web.projection.rebuild_outcome import BuildLost, NotNeeded
from admin_web.projection.wire import RedisUnavailable
from admin_web.queries.alarm import alarm
from admin_web.queries.alarms.enforcement import NO_CALLS
from admin_web.record.database import Database
from admin_web.worker.verifier import LOOK_S, MOST_WAIT_S, Checked, Verifier
from compliance.redis_schema import LEASE, STATE, listed_key
from lab.redis import RedisServer
from tests.support.faults import Fuse, Killed
from tests.support.projection import World

LISTED, OTHER = "+14155550100", "+14155550199"
MANY = [f"+1415{line:07}" for line in range(2_000_000, 2_000_300)]
SET = listed_key(1, "internal", "1415200")


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.suppress_many(MANY)
        await world.suppress(LISTED)
        await world.projection.rebuild()
        await world.projection.renew_lease()
        yield world
        world.redis.config_set("maxmemory", 0)
        world.redis.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("before", "now", "spared"),
    [
        (Evictions(3, "noeviction"), Evictions(3, "noeviction"), True),
        (Evictions(3, "noeviction"), Evictions(4, "noeviction"), False),
        (Evictions(3, "noeviction"), Evictions(0, "noeviction"), False),
        (Evictions(3, "volatile-lru"), Evictions(9, "volatile-ttl"), True),
        (Evictions(3, "noeviction"), Evictions(4, "volatile-lru"), False),
        (Evictions(3, "volatile-lru"), Evictions(4, "noeviction"), False),
    ],
)
def test_only_evictions_under_a_policy_that_spares_sets_leave_the_projection_complete(before, now, spared: bool):
    assert now.spared(before) is spared


def test_what_is_recorded_is_read_back_and_an_earlier_version_counts_as_none():
    noted = Evictions(7, "volatile-lru")
    assert recorded_evictions({name.encode(): value.encode() for name, value in [noted.field]}) == noted
    for value in (b"x:y", b"9" * 19 + b":noeviction", b"9" * 5_000 + b":noeviction"):
        assert recorded_evictions({b"evicted": value}) == recorded_evictions({}) == Evictions(0, "noeviction")
    assert read_evictions({"maxmemory_policy": "allkeys-lfu"}, {"evicted_keys": "2"}).may_take_sets


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
async def test_calls_stop_while_redis_may_evict_and_go_on_if_nothing_was_evicted(world: World, policy: str):
    world.redis.config_set("maxmemory-policy", policy)
    with pytest.raises(StoreUnfit, match=f"maxmemory-policy to noeviction, not {policy}"):
        await world.projection.renew_lease()
    assert world.gate.rule(OTHER).detail == "no-lease"
    shown = await alarm(world.projection.sides)
    assert shown is not None
    assert shown.title == NO_CALLS
    assert f"not {policy}" in shown.text
    assert (await world.projection.verify()).doubt == "may-evict"
    world.redis.config_set("maxmemory-policy", "noeviction")
    await world.projection.renew_lease()
    assert world.gate.allows(OTHER)
    assert (await world.projection.verify()).generation == 1


async def test_why_calls_stop_is_logged_before_they_stop_and_once(world: World):
    world.redis.config_set("maxmemory-policy", "allkeys-lru")
    with capture_logs() as killed:
        async with world.mortal(Fuse("before UNLINK")) as worker:
            with pytest.raises(Killed):
                await worker.renew_lease()
    assert world.redis.exists(LEASE)
    with capture_logs() as ended:
        for _ in range(2):
            with pytest.raises(StoreUnfit):
                await world.projection.renew_lease()
    assert [line["event"] for line in killed] == [line["event"] for line in ended] == ["the lease ends, so calls stop"]
    assert "not allkeys-lru" in killed[0]["why"]


async def test_a_change_is_not_in_force_while_redis_may_evict(world: World):
    world.redis.config_set("maxmemory-policy", "allkeys-lru")
    await world.suppress(OTHER)
    with pytest.raises(StoreUnfit):
        await world.projection.drain()
    world.redis.config_set("maxmemory-policy", "noeviction")
    await world.projection.drain()
    await world.projection.renew_lease()
    assert not world.gate.allows(OTHER)


async def test_evicted_numbers_come_back_by_a_rebuild_before_calls_go_on(world: World):
    world.redis.config_set("maxmemory-policy", "allkeys-random")
    world.redis.config_set("maxmemory", 1)
    while not world.redis.info("stats")["evicted_keys"]:  # Redis evicts before each command that it executes.
        world.redis.ping()
    world.redis.config_set("maxmemory", 0)
    world.redis.config_set("maxmemory-policy", "noeviction")
    with pytest.raises(ProjectionLost):
        await world.projection.renew_lease()
    assert not world.gate.allows(LISTED)
    assert not world.gate.allows(OTHER)
    await world.projection.rebuild(only_if_lost=True)
    await world.projection.renew_lease()
    assert world.gate.allows(OTHER)
    assert not world.gate.allows(LISTED)
    assert (await world.projection.verify()).clean


async def test_evictions_between_two_looks_end_the_lease_and_need_a_rebuild(world: World):
    world.redis.srem(listed_key(1, "internal", "1415555"), 100)
    world.redis.hset(STATE, "evicted", "5:noeviction")
    with pytest.raises(ProjectionLost, match="evicted keys since the projection was built"):
        await world.projection.renew_lease()
    assert not world.redis.exists(LEASE)
    await world.projection.rebuild(only_if_lost=True)
    assert not world.gate.allows(LISTED)
    with pytest.raises(NotNeeded):
        await world.projection.rebuild(only_if_lost=True)


async def test_evictions_of_expiring_keys_are_noted_and_stop_nothing(world: World):
    world.redis.config_set("maxmemory-policy", "volatile-lru")
    await world.projection.renew_lease()
    assert world.redis.hget(STATE, "evicted") == b"0:volatile-lru"
    world.redis.hset(STATE, "evicted", "9:volatile-ttl")
    await world.projection.renew_lease()
    assert world.redis.hget(STATE, "evicted") == b"0:volatile-lru"
    assert world.gate.allows(OTHER)


@pytest.fixture
async def verifier(world: World) -> Verifier:
    """Return a verifier that has compared everything under a policy that spares sets, and has begun a slow round."""
    world.redis.config_set("maxmemory-policy", "volatile-lfu")
    await world.projection.renew_lease()
    verifier = Verifier(world.projection, world.settings, world.now, Checked())
    while verifier._at_once:
        verifier._due = 0.0
        await verifier.look()
    await verifier.step()
    verifier._due = monotonic() + MOST_WAIT_S
    return verifier


def evict(world: World, *sets: str) -> None:
    """Let Redis evict a key that expires. Remove sets too, as if the policy had been another one for a moment."""
    world.redis.set("decoy", "", px=60_000)
    world.redis.config_set("maxmemory", 1)
    while world.redis.exists("decoy"):
        world.redis.ping()
    world.redis.config_set("maxmemory", 0)
    world.redis.delete(*sets, "decoy")


async def to_the_end(verifier: Verifier) -> None:
    """Look until the round has ended that goes on, without its pauses."""
    while verifier._steps is not None:
        verifier._due = 0.0
        await verifier.look()


async def test_sets_that_another_policy_took_between_two_looks_are_found_by_a_round_at_once(
    world: World, verifier: Verifier
):
    begun = verifier._round
    evict(world, SET)
    await world.projection.renew_lease()
    assert world.gate.allows(MANY[0]), "neither counts nor policies tell that a set is missing"
    await verifier.look()
    assert verifier._round is not begun
    assert verifier._at_once
    await to_the_end(verifier)
    assert verifier.checked.found == {drift.MISSING: len(MANY)}
    assert not world.gate.allows(MANY[0])
    assert (await world.projection.verify()).clean


async def test_while_nothing_is_evicted_a_look_begins_no_step_before_it_is_due(world: World, verifier: Verifier):
    await world.projection.renew_lease()
    done = verifier._done
    assert await verifier.look() == LOOK_S
    assert verifier._done == done


async def test_a_set_that_is_evicted_after_a_round_at_once_has_compared_it_is_found_by_the_next(
    world: World, verifier: Verifier
):
    verifier._begin_anew()
    while verifier._done < 3:
        verifier._due = 0.0
        await verifier.look()
    evict(world, SET)
    await world.projection.renew_lease()
    begun = verifier._round
    await verifier.look()
    assert verifier._round is begun, "it goes on, so that it ends although Redis evicts all the time"
    await to_the_end(verifier)
    assert verifier._at_once
    verifier._due = 0.0
    await verifier.look()
    await to_the_end(verifier)
    assert verifier.checked.found == {drift.MISSING: len(MANY)}


async def test_a_round_that_begins_after_an_eviction_that_no_look_has_seen_is_made_at_once(
    world: World, verifier: Verifier
):
    await to_the_end(verifier)
    evict(world)
    await verifier.step()
    assert verifier._at_once
    await to_the_end(verifier)
    assert not verifier._at_once
    assert verifier.checked.found.total() == 0


async def test_a_round_after_an_eviction_that_redis_interrupts_is_begun_again_at_once(
    world: World, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
):
    evict(world, SET)
    await world.projection.renew_lease()
    with monkeypatch.context() as broken:
        broken.setattr("admin_web.projection.rounds.verified", away)
        with pytest.raises(RedisUnavailable):
            await verifier.look()
    await verifier.look()
    assert verifier._steps is not None


async def away(_sides: Sides) -> LiveProjection:
    raise RedisUnavailable("away")


async def test_a_generation_during_whose_build_redis_may_evict_never_goes_live(world: World):
    def turn(*_: object) -> None:
        world.redis.config_set("maxmemory-policy", "allkeys-lru")

    with pytest.raises(BuildLost, match="evicted numbers"):
        await world.projection.rebuild(progress=turn)
    assert world.redis.hget(STATE, "generation") == b"1"
