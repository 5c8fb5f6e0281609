"""Rebuilds of the projection from SQL: complete, without a gap in protection, and refused when something is wrong."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import delete, select
from structlog.testing import capture_logs

from admin_web.projection import outbox
from admin_web.projection import rebuild as rebuild_module
from admin_web.projection.builder import Builder
from admin_web.projection.drain import Sides
from admin_web.projection.live import StoreUnfit
from admin_web.projection.rebuild import RebuildOptions, rebuild
from admin_web.projection.rebuild_outcome import (
    BuildLost,
    CountsDiffer,
    NotNeeded,
    RebuildSuperseded,
    RebuildUnderWay,
    SuspiciousDrop,
)
from admin_web.projection.store_settings import require_fit
from admin_web.projection.sweep import sweep
from admin_web.projection.wire import RedisUnavailable, Wire
from admin_web.record.changes import utc_now
from admin_web.record.database import Database
from admin_web.record.models import OutboxRow, SuppressionEntry
from compliance.redis_schema import LEASE, STATE, listed_key
from lab.redis import RedisServer
from tests.support.faults import Fuse, Killed, Meanwhile
from tests.support.projection import World
from tests.support.registries import file, flat, take

LISTED, OTHER = "+14155550100", "+14155550199"
MANY = [f"+1415{line:07}" for line in range(2_000_000, 2_001_000)]


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        yield world


async def swept(world: World) -> int:
    return await sweep(world.projection.sides, grace_s=0)


async def test_an_empty_record_is_a_valid_projection(world: World):
    assert world.gate.rule(LISTED).detail == "no-state"
    built = await world.projection.rebuild()
    assert (built.generation, sum(built.counts.values())) == (1, 0)
    assert world.gate.rule(LISTED).reason == "not-listed"
    assert (await world.projection.verify()).clean


async def test_numbers_and_overrides_are_there_from_the_flip_on(world: World):
    await world.suppress_many(MANY)
    await world.suppress("+442079460000")
    await world.suppress(LISTED, "house")
    await world.grant(MANY[0], "lead-1")
    built = await world.projection.rebuild()
    assert built.counts == {"internal": 1001, "house": 1}
    assert not any(world.gate.allows(number) for number in [*MANY[:50], LISTED, "+442079460000"])
    assert world.gate.allows(MANY[0], "lead-1")
    assert world.gate.allows(OTHER)
    assert (await world.projection.verify()).clean


async def test_changes_that_were_pending_are_in_force_with_the_flip_and_are_not_applied_again(world: World):
    await world.suppress(LISTED)
    await world.projection.rebuild()
    async with world.database.read() as session:
        assert await outbox.newest_pending(session) is None
    assert not world.gate.allows(LISTED)


async def test_lifted_entries_and_revoked_or_ended_overrides_are_left_out(world: World):
    await world.suppress(LISTED)
    await world.suppress(OTHER)
    await world.revoke(await world.grant(OTHER, "lead-1"))
    await world.grant_until_soon(OTHER, "lead-2", milliseconds=1)
    await world.lift(LISTED)
    await asyncio.sleep(0.002)
    await world.projection.rebuild()
    assert world.gate.allows(LISTED)
    assert not world.gate.allows(OTHER, "lead-1")
    assert not world.gate.allows(OTHER, "lead-2")
    assert await world.keys("dnc:1:override*") == []


async def test_the_old_generation_serves_until_the_flip_and_goes_after_it(world: World):
    await world.suppress(LISTED)
    await world.projection.rebuild()
    await world.projection.rebuild()
    assert await world.keys() == ["dnc:1:internal:{1415555}", "dnc:2:internal:{1415555}"]
    assert await swept(world) == 2, "the set, and the terms"
    assert await world.keys() == ["dnc:2:internal:{1415555}"]
    assert not world.gate.allows(LISTED)


async def test_a_sweep_waits_for_the_calls_that_are_under_way(world: World):
    await world.suppress(LISTED)
    await world.projection.rebuild()
    await world.projection.rebuild()
    sweeping = asyncio.create_task(sweep(world.projection.sides, grace_s=60))
    await asyncio.sleep(0.1)
    assert len(await world.keys("dnc:1:*")) == 1
    sweeping.cancel()
    assert await sweep(world.projection.sides, grace_s=0) == 2


async def test_a_sweep_leaves_alone_what_was_begun_after_it(world: World):
    await world.suppress(LISTED)
    await world.projection.rebuild()

    async def build() -> None:
        async with world.mortal(Fuse("after SADD")) as builder:
            with pytest.raises(Killed):
                await builder.rebuild()

    building = Meanwhile("before SCAN", build, within_s=60)
    async with world.mortal(building) as sweeper:
        assert await sweep(sweeper.sides, grace_s=0) == 0
    assert building.happening is not None
    await building.happening
    assert await world.keys("dnc:2:*") == ["dnc:2:build", "dnc:2:internal:{1415555}"]


async def test_a_rebuild_gives_the_gate_a_lease(world: World):
    await world.projection.rebuild()
    assert 59_000 < world.redis.pttl(LEASE) <= 60_000


async def test_without_a_length_the_lease_never_ends(world: World):
    await rebuild(world.projection.sides, RebuildOptions(lease_s=0))
    assert world.redis.pttl(LEASE) == -1


@pytest.mark.exhaustive
async def test_what_changes_at_any_step_of_a_rebuild_is_there_after_it(world: World):
    await world.suppress_many([LISTED, OTHER])
    await world.projection.rebuild()

    async def change() -> None:
        override = await world.grant(LISTED, f"lead-{step}")
        await world.projection.drain()
        await world.suppress(MANY[step])
        await world.lift(OTHER)
        await world.projection.drain()
        assert not world.gate.allows(MANY[step])
        await world.revoke(override)
        await world.suppress(OTHER)
        await world.projection.drain()
        await world.suppress(MANY[-step])

    for step in range(100):
        fuse = Meanwhile(step, change)
        async with world.mortal(fuse) as builder:
            await builder.rebuild()
        if fuse.happening is None:
            break
        await fuse.happening
        assert not world.gate.allows(MANY[step])
        assert not world.gate.allows(LISTED, f"lead-{step}")
        await world.projection.drain()
        assert (await world.projection.verify()).clean
    assert step > 20


class Block:
    """A change, and the preparation that it needs. `step` selects the number."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def prepare(self, step: int) -> None:
        return

    async def make(self, step: int) -> None:
        await self.world.suppress(MANY[step])


class Lift(Block):
    async def prepare(self, step: int) -> None:
        await self.world.suppress(MANY[step])

    async def make(self, step: int) -> None:
        await self.world.lift(MANY[step])


class Grant(Block):
    async def make(self, step: int) -> None:
        await self.world.grant(LISTED, f"lead-{step}")


class Revoke(Block):
    async def prepare(self, step: int) -> None:
        self.override = await self.world.grant(LISTED, f"lead-{step}")

    async def make(self, step: int) -> None:
        await self.world.revoke(self.override)


async def test_a_change_right_before_the_flip_is_part_of_the_new_generation(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """Without rounds of catching up, only the flip itself sees a change that was made after the snapshot."""
    await world.suppress(LISTED)
    monkeypatch.setattr(rebuild_module, "MOST_ROUNDS", 0)
    load = Builder.load

    async def load_and_change(builder: Builder) -> None:
        await load(builder)
        await world.suppress(OTHER)

    monkeypatch.setattr(Builder, "load", load_and_change)
    await world.projection.rebuild()
    compared = await world.projection.verify()
    assert (compared.clean, compared.pending) == (True, 0), compared


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", [Block, Lift, Grant, Revoke])
async def test_a_single_change_at_any_step_of_a_rebuild_is_there_after_it(world: World, kind: type[Block]):
    change = kind(world)
    await world.suppress(LISTED)
    await world.projection.rebuild()

    async def happen() -> None:
        await change.make(step)
        await world.projection.drain()

    for step in range(100):
        await change.prepare(step)
        await world.projection.drain()
        fuse = Meanwhile(step, happen)
        async with world.mortal(fuse) as builder:
            await builder.rebuild()
        if fuse.happening is None:
            break
        await fuse.happening
        compared = await world.projection.verify()
        assert (compared.clean, compared.pending) == (True, 0), compared
    assert step > 20


@pytest.mark.exhaustive
async def test_a_builder_killed_at_any_step_lets_no_listed_number_through_and_the_next_one_succeeds(world: World):
    await world.suppress_many([LISTED, OTHER])
    await world.grant(OTHER, "lead-1")
    await world.projection.rebuild()
    for step in range(100):
        try:
            async with world.mortal(Fuse(step)) as builder:
                await builder.rebuild()
        except Killed:
            assert not world.gate.allows(LISTED)
            assert not world.gate.allows(OTHER)
            assert world.gate.allows(OTHER, "lead-1")
            await world.suppress(MANY[step])
            await world.projection.drain()
            assert not world.gate.allows(MANY[step])
            assert (await world.projection.verify()).clean
        else:
            break
    assert step > 20
    await swept(world)
    assert {key.split(":")[1] for key in await world.keys()} == {world.redis.hget(STATE, "generation").decode()}


async def test_what_a_dead_builder_left_goes_when_it_was_not_heard_of_for_a_while(world: World):
    await world.suppress(LISTED)
    await world.projection.rebuild()
    async with world.mortal(Fuse("after SADD")) as builder:
        with pytest.raises(Killed):
            await builder.rebuild()
    assert await swept(world) == 0
    later = Sides(world.database, world.projection.sides.store, lambda: utc_now() + timedelta(seconds=61))
    assert await sweep(later, grace_s=0) == 2
    assert await world.keys() == ["dnc:1:internal:{1415555}"]


async def test_a_generation_is_never_built_twice(world: World):
    generations = []
    await world.suppress(LISTED)
    for step in ("before SET", "before SADD", "before EXEC"):
        async with world.mortal(Fuse(step)) as builder:
            with pytest.raises(Killed):
                await builder.rebuild()
    generations.append((await world.projection.rebuild()).generation)
    generations.append((await world.projection.rebuild()).generation)
    assert generations == [4, 5]


async def test_what_a_lost_backup_left_in_redis_under_the_next_number_is_taken_out_first(world: World):
    await world.suppress(LISTED)
    world.redis.set("dnc:1:override:{1415555}:100:lead-1", "9|signed-consent|99999999999999")
    world.redis.sadd(listed_key(1, "internal", "1415555"), 199)
    await world.projection.rebuild()
    assert not world.gate.allows(LISTED, "lead-1")
    assert world.gate.allows(OTHER)
    assert (await world.projection.verify()).clean


async def test_the_number_is_higher_than_any_that_redis_serves(world: World):
    """Another builder's flip was the last thing that reached Redis before its turn was lost."""
    await world.projection.rebuild()
    world.redis.hset(STATE, mapping={"generation": 41, "incarnation": "x"})
    assert (await world.projection.rebuild()).generation == 42


async def test_a_rebuild_that_is_cancelled_delays_no_other_one(world: World, monkeypatch: pytest.MonkeyPatch):
    loading = asyncio.Event()

    async def load(_: Builder) -> None:
        loading.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Builder, "load", load)
        building = asyncio.create_task(world.projection.rebuild(only_if_lost=True))
        await loading.wait()
        with pytest.raises(RebuildUnderWay):
            await world.projection.rebuild(only_if_lost=True)
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)
    assert (await world.projection.rebuild(only_if_lost=True)).generation == 2


async def test_redis_restarted_meanwhile_ends_the_rebuild(world: World):
    await world.suppress(LISTED)

    async def restart() -> None:
        await world.restart()

    async with world.mortal(Meanwhile("after SADD", restart)) as builder:
        with pytest.raises(RedisUnavailable):
            await builder.rebuild()
    assert world.gate.rule(LISTED).detail == "no-state"
    assert (await world.projection.rebuild()).counts == {"internal": 1}


@pytest.mark.exhaustive
async def test_redis_emptied_at_any_step_ends_the_rebuild_or_leaves_no_state(world: World):
    await world.suppress(LISTED)

    async def empty() -> None:
        world.redis.flushall()

    lost = 0
    for step in range(100):
        fuse = Meanwhile(step, empty)
        async with world.mortal(fuse) as builder:
            try:
                await builder.rebuild()
            except (BuildLost, RedisUnavailable, CountsDiffer):
                lost += 1
        if fuse.happening is None:
            break
        await fuse.happening
        assert not world.gate.allows(LISTED)
    assert lost > 4


async def test_the_older_of_two_builders_gives_way(world: World):
    await world.suppress(LISTED)

    async def another() -> None:
        await world.projection.rebuild()

    for step in ("before SET", "after SET", "before SADD", "after SADD"):
        fuse = Meanwhile(step, another)
        async with world.mortal(fuse) as builder:
            with pytest.raises(RebuildSuperseded):
                await builder.rebuild()
        await fuse.happening
        assert not world.gate.allows(LISTED)
        assert (await world.projection.verify()).clean


async def remove_from_record(world: World, numbers: list[str]) -> None:
    """Delete rows from SQL, which no service does."""
    async with world.database.write() as session:
        await session.execute(delete(SuppressionEntry).where(SuppressionEntry.number.in_(numbers)))


async def test_a_list_that_shrank_by_itself_is_not_believed_unless_told_to(world: World):
    await world.suppress_many(MANY)
    await world.projection.rebuild()
    await remove_from_record(world, MANY[:101])
    with pytest.raises(SuspiciousDrop, match=r"from 1,000 to 899 numbers.*--allow-drop"):
        await world.projection.rebuild()
    assert not world.gate.allows(MANY[0])
    assert (await world.projection.rebuild(allow_drop=True)).counts == {"internal": 899}
    assert world.gate.allows(MANY[0])


async def test_an_empty_record_is_not_believed_when_redis_holds_numbers(world: World):
    await world.suppress_many(MANY)
    await world.projection.rebuild()
    await remove_from_record(world, MANY)
    await world.restart()
    with pytest.raises(SuspiciousDrop, match="to 0 numbers"):
        await world.projection.rebuild(only_if_lost=True)


@pytest.mark.exhaustive
async def test_a_small_or_slow_decline_is_believed(world: World):
    await world.suppress_many(MANY)
    await world.projection.rebuild()
    await remove_from_record(world, MANY[:100])
    await world.projection.rebuild()
    for number in MANY[100:700]:
        await world.lift(number)
    await world.projection.drain()
    assert (await world.projection.rebuild()).counts == {"internal": 300}


async def test_a_redis_that_may_evict_numbers_is_refused(world: World):
    world.redis.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreUnfit, match="maxmemory-policy to noeviction"):
        await world.projection.rebuild()


async def test_a_redis_with_its_default_setting_is_set_to_waste_no_memory(world: World):
    world.redis.config_set("set-max-intset-entries", "512")
    await world.projection.rebuild()
    assert world.redis.config_get("set-max-intset-entries") == {"set-max-intset-entries": "10000"}


async def test_a_setting_that_may_not_be_changed_is_no_reason_to_refuse_the_companys_own_list(world: World):
    world.redis.config_set("set-max-intset-entries", "512")
    world.redis.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config|set"])
    await world.suppress_many(MANY)
    await world.projection.require_fit()
    assert (await world.projection.rebuild()).counts == {"internal": len(MANY)}


async def test_a_setting_that_may_not_be_changed_is_a_reason_to_refuse_a_registry(world: World, tmp_path: Path):
    await world.projection.require_fit_for_a_registry()
    world.redis.config_set("set-max-intset-entries", "512")
    world.redis.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config|set"])
    with pytest.raises(StoreUnfit, match="set-max-intset-entries to 10000, not 512"):
        await world.projection.require_fit_for_a_registry()
    await take(world.records, "us-ftc", file(tmp_path, flat(["+12025550101"])))
    for refused in (world.projection.rebuild, world.projection.require_fit):
        with pytest.raises(StoreUnfit, match="set-max-intset-entries to 10000, not 512"):
            await refused()


async def test_a_redis_that_answers_nothing_about_its_settings_is_taken_as_it_is():
    class Hosted:
        async def ask(self, command: tuple[str, ...]) -> list[object]:
            return [b"maxmemory_policy:noeviction\r\n"] if command[0] == "INFO" else [[]]

    with capture_logs() as logs:
        await require_fit(cast("Wire", Hosted()), registries=True)
    assert [line["event"] for line in logs] == ["redis does not report set-max-intset-entries"]


async def test_a_redis_that_does_not_tell_its_settings_is_taken_as_it_is(world: World):
    world.redis.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"])
    assert (await world.projection.rebuild()).generation == 1


async def test_what_is_whole_is_left_alone_when_only_the_lost_is_to_be_rebuilt(world: World):
    await world.projection.rebuild()
    with pytest.raises(NotNeeded):
        await world.projection.rebuild(only_if_lost=True)


async def test_a_builder_at_work_is_left_alone_when_only_the_lost_is_to_be_rebuilt(world: World):
    async with world.mortal(Fuse("after SET")) as builder:
        with pytest.raises(Killed):
            await builder.rebuild()
    with pytest.raises(RebuildUnderWay):
        await world.projection.rebuild(only_if_lost=True)
    later = Sides(world.database, world.projection.sides.store, lambda: utc_now() + timedelta(seconds=11))
    assert (await rebuild(later, RebuildOptions(60, only_if_lost=True))).generation == 2


async def test_a_builder_that_failed_is_not_taken_for_one_at_work(world: World):
    await world.suppress_many(MANY)
    await world.projection.rebuild()
    await remove_from_record(world, MANY)
    await world.restart()
    for _ in range(2):
        with pytest.raises(SuspiciousDrop):
            await world.projection.rebuild(only_if_lost=True)
    assert {key.split(":")[1] for key in await world.keys()} == {"1"}


async def test_counts_that_differ_from_the_record_stop_the_flip(world: World):
    await world.suppress_many(MANY)

    async def spoil() -> None:
        """Insert a number into SQL without an outbox row."""
        async with world.database.write() as session:
            values = {"list_name": "internal", "number": OTHER, "source": "", "added_at": utc_now(), "added_by": ""}
            session.add(SuppressionEntry(**values))

    async with world.mortal(Meanwhile("after SADD", spoil)) as builder:
        with pytest.raises(CountsDiffer, match=r"acknowledged 1,000 numbers .* holds 1,001"):
            await builder.rebuild()
    assert world.gate.rule(OTHER).detail == "no-state"


@pytest.mark.exhaustive
async def test_many_numbers_and_rows_at_once_are_taken_whole(world: World):
    for first in range(0, 30_000, 1000):
        await world.suppress_many([f"+1416{first * 7 + line:07}" for line in range(2_000_000, 2_001_000)])
    async with world.database.read() as session:
        assert len((await session.scalars(select(OutboxRow.id))).all()) == 30
    built = await world.projection.rebuild()
    assert sum(built.counts.values()) == 30_000
    assert (await world.projection.verify()).clean


async def test_progress_is_told_up_to_the_end(world: World):
    told: list[tuple[str, int, int]] = []
    await world.suppress_many(MANY)
    await world.projection.rebuild(progress=lambda *said: told.append(said))
    assert told[0] == ("numbers", 0, 1000)
    assert ("numbers", 1000, 1000) in told
    assert told[-1] == ("overrides", 0, 0)


async def test_a_redis_that_is_not_there_is_named(world: World):
    world.server.stop()
    with pytest.raises(RedisUnavailable, match=r"no usable Redis at unix://.*redis\.sock"):
        await world.projection.rebuild()
