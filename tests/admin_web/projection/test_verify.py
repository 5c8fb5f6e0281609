"""Comparison of SQL and Redis: it finds and names every difference, and ignores pending changes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from admin_web.projection import contents, drift, truth, verify
from admin_web.projection.drain import Sides
from admin_web.projection.progress import quiet
from admin_web.projection.registry_check import RegistryCheck
from admin_web.projection.verify import ProjectionMoved
from admin_web.projection.wire import RedisUnavailable
from admin_web.record.changes import utc_now
from admin_web.record.database import Database
from compliance.numbers import E164, LeadId
from compliance.redis_schema import LEASE, STATE, listed_key, override_key
from lab.redis import RedisServer
from tests.support.faults import Meanwhile
from tests.support.projection import World
from tests.support.registries import file, flat, take

LISTED, OTHER = "+14155550100", "+14155550199"
MANY = [f"+1415{line:07}" for line in range(2_000_000, 2_001_000)]
ONE_LEAD = override_key(1, E164(LISTED), LeadId("lead-1"))
EXCHANGE = listed_key(1, "internal", "1415555")


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.suppress_many(MANY)
        await world.suppress(LISTED)
        await world.grant(LISTED, "lead-1")
        await world.projection.rebuild()
        yield world


async def found(world: World) -> dict[str, int]:
    compared = await world.projection.verify()
    assert compared.clean == (not compared.found and not compared.counted and not compared.doubt)
    return compared.found


async def test_what_is_the_same_is_clean_and_counted(world: World):
    compared = await world.projection.verify()
    assert compared.clean
    assert (compared.numbers, compared.overrides, compared.generation) == (1001, 1, 1)


async def test_a_number_that_redis_lacks_is_found_and_named(world: World):
    world.redis.srem(EXCHANGE, 100)
    compared = await world.projection.verify()
    assert compared.found == {drift.MISSING: 1}
    assert compared.examples == {drift.MISSING: [f"{LISTED} on internal"]}
    assert not compared.clean


async def test_a_whole_set_that_redis_lacks_is_found(world: World):
    world.redis.delete(listed_key(1, "internal", "1415200"))
    compared = await world.projection.verify()
    assert compared.found == {drift.MISSING: 1000}
    assert len(compared.examples[drift.MISSING]) == drift.EXAMPLES


async def test_a_number_that_only_redis_holds_is_found(world: World):
    world.redis.sadd(EXCHANGE, 199)
    world.redis.sadd(listed_key(1, "internal", "1999999"), 1, 2)
    world.redis.sadd(listed_key(1, "house", "1415555"), 100)
    assert await found(world) == {drift.EXTRA: 4}


async def test_an_override_that_only_redis_holds_is_found(world: World):
    world.redis.set(override_key(1, E164(LISTED), LeadId("lead-2")), "9|other|99999999999999", px=60_000)
    assert await found(world) == {drift.OVERRIDE_EXTRA: 1}


async def test_an_override_that_redis_lacks_is_found(world: World):
    world.redis.delete(ONE_LEAD)
    assert await found(world) == {drift.OVERRIDE_MISSING: 1}


async def test_an_override_with_another_end_is_found(world: World):
    world.redis.set(ONE_LEAD, "1|signed-consent|99999999999999", px=60_000)
    assert await found(world) == {drift.OVERRIDE_OTHER: 1}


async def test_an_override_that_redis_would_keep_for_ever_is_found(world: World):
    world.redis.persist(ONE_LEAD)
    assert await found(world) == {drift.OVERRIDE_ENDLESS: 1}


async def test_an_override_that_ends_is_no_difference(world: World):
    await world.grant_until_soon(LISTED, "lead-2", milliseconds=150)
    await world.projection.drain()
    for _ in range(20):
        assert await found(world) == {}
        await asyncio.sleep(0.01)


async def test_an_override_that_is_over_by_our_clock_and_not_yet_by_that_of_redis_is_no_difference(world: World):
    await world.grant(LISTED, "lead-2", minutes=5)
    await world.projection.drain()
    later = Sides(world.database, world.projection.sides.store, lambda: utc_now() + timedelta(minutes=6))
    assert (await verify.verify(later, quiet)).found == {}


async def test_a_wrong_count_is_found(world: World):
    world.redis.hset(STATE, "count:internal", 7)
    assert (await world.projection.verify()).counted == {"internal": (7, 1001)}


@pytest.mark.parametrize(
    ("spoil", "doubt"),
    [
        (lambda redis: redis.delete(STATE), "no-state"),
        (lambda redis: redis.flushall(), "no-state"),
        (lambda redis: redis.delete(LEASE), "no-lease"),
        (lambda redis: redis.hset(STATE, "incarnation", "x"), "other-incarnation"),
        (lambda redis: redis.hset(STATE, "generation", 9), "other-generation"),
    ],
)
async def test_what_the_gate_would_not_rely_on_is_named(world: World, spoil, doubt):
    spoil(world.redis)
    compared = await world.projection.verify()
    assert compared.doubt == doubt
    assert not compared.clean


async def test_changes_that_are_not_in_force_yet_are_told_and_are_no_difference(world: World):
    await world.suppress(OTHER)
    await world.lift(LISTED)
    compared = await world.projection.verify()
    assert (compared.pending, compared.found, compared.counted) == (2, {}, {})


async def test_a_real_difference_is_found_among_changes_that_are_not_in_force_yet(world: World):
    await world.suppress(OTHER)
    world.redis.srem(EXCHANGE, 100)
    assert await found(world) == {drift.MISSING: 1}


@pytest.mark.exhaustive
async def test_changes_at_any_step_of_the_comparison_are_no_difference(world: World):
    async def change() -> None:
        await world.suppress(f"+1416555{step:04}")
        await world.projection.drain()
        await world.lift(MANY[step])
        override = await world.grant(LISTED, f"lead-{step + 2}")
        await world.projection.drain()
        await world.revoke(override)
        await world.suppress(f"+1417555{step:04}")

    for step in range(100):
        fuse = Meanwhile(step, change)
        async with world.mortal(fuse) as other:
            assert (await other.verify()).found == {}
        if fuse.happening is None:
            break
        await fuse.happening
    assert step > 10


async def test_a_rebuild_in_between_has_the_comparison_begin_anew(world: World):
    async def again() -> None:
        await world.projection.rebuild()
        await world.projection.sweep()

    async with world.mortal(Meanwhile("after SCAN", again, within_s=20)) as other:
        compared = await other.verify()
    assert compared.clean
    assert compared.generation == 2


async def test_rebuilds_that_do_not_end_are_named(world: World, monkeypatch):
    async def moved(*_: object) -> None:
        raise ProjectionMoved

    monkeypatch.setattr(verify._Comparison, "run", moved)
    with pytest.raises(ProjectionMoved, match="run `dnc-admin verify` again"):
        await world.projection.verify()


async def test_rubbish_among_the_keys_is_passed_over(world: World):
    world.redis.set("dnc:1:something", "x")
    world.redis.sadd(EXCHANGE, "rubbish")
    assert await found(world) == {}


async def test_without_a_projection_in_redis_the_totals_of_sql_are_said_and_nothing_is_compared(world: World):
    await world.projection.verify()
    world.redis.flushall()
    compared = await world.projection.verify()
    assert (compared.numbers, compared.overrides, compared.generation) == (1001, 1, 0)
    assert compared.lines() == [
        "SQL holds 1,001 numbers and 1 live override.",
        "DOUBT: Redis holds no projection (no-state), so nothing was compared, and the gate blocks calls.",
        "Run `dnc-admin rebuild` to put it right.",
    ]


async def test_an_unreadable_state_of_redis_is_no_projection_either(world: World):
    world.redis.hset(STATE, "generation", "x")
    compared = await world.projection.verify()
    assert (compared.numbers, compared.overrides, compared.doubt) == (1001, 1, "no-state")


@pytest.mark.parametrize(("where", "step"), [(verify, "compare"), (RegistryCheck, "_compare")])
async def test_a_comparison_that_fails_leaves_no_cursor_open(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: object, step: str
):
    cursors = list[Callable[[], Awaitable[None]]]()

    @asynccontextmanager
    async def ending(close: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        task = asyncio.current_task()
        cursors.append(close)
        try:
            yield
        finally:
            await close()
            if asyncio.current_task() is task:  # Python closes a forgotten generator in a task of its own.
                cursors.remove(close)

    def broken(*_: object) -> None:
        assert cursors
        raise RedisUnavailable("the connection to Redis broke")

    await take(world.records, "us-ftc", file(tmp_path, flat(["+12025550100"])))
    await world.projection.follow()
    monkeypatch.setattr(contents, "SUBJECTS_AT_ONCE", 1)
    monkeypatch.setattr(truth, "_ending", ending)
    monkeypatch.setattr(where, step, broken)
    with pytest.raises(RedisUnavailable, match="broke") as failure:
        await world.projection.verify()
    assert failure.value.__traceback__ is not None  # It refers to the frames, and so to what they have open.
    assert cursors == []
