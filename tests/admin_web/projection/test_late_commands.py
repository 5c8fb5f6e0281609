"""A command that reaches Redis late, after its sender gave up, changes nothing that was reported since."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_web.projection.projection import Projection
from admin_web.projection.sweep import sweep
from admin_web.projection.wire import RedisUnavailable
from admin_web.record.database import Database
from compliance.redis_schema import STATE
from lab.redis import RedisServer
from tests.support.faults import Fuse, Killed, LateProxy, Meanwhile
from tests.support.projection import World

LISTED, OTHER = "+14155550100", "+14155550199"


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.suppress(LISTED)
        await world.projection.rebuild()
        yield world


@pytest.fixture
async def proxy(redis_server: RedisServer, short_path: Path) -> AsyncIterator[LateProxy]:
    async with LateProxy(redis_server.socket, short_path) as proxy:
        yield proxy


@pytest.fixture
async def slow(world: World, proxy: LateProxy) -> AsyncIterator[Projection]:
    """The projection of a process whose commands the test can hold back."""
    async with world.behind(proxy.url) as slow:
        await slow.drain()
        yield slow


async def give_up(slow: Projection, proxy: LateProxy) -> None:
    """Hold back the EXEC of the process, until it gives up."""
    proxy.hold(b"EXEC")
    with pytest.raises(RedisUnavailable):
        await slow.drain()


async def test_a_grant_that_arrives_after_its_revocation_opens_nothing(world: World, slow, proxy):
    override = await world.grant(LISTED, "lead-1")
    await give_up(slow, proxy)
    await world.revoke(override)
    await world.projection.drain()
    await proxy.release()
    assert not world.gate.allows(LISTED, "lead-1")
    assert (await world.projection.verify()).clean


async def test_a_lift_that_arrives_after_a_new_block_lifts_nothing(world: World, slow, proxy):
    await world.lift(LISTED)
    await give_up(slow, proxy)
    await world.suppress(LISTED)
    await world.projection.drain()
    await proxy.release()
    assert not world.gate.allows(LISTED)
    assert (await world.projection.verify()).clean


async def test_a_change_that_arrives_before_anybody_else_has_written_is_the_truth_and_is_applied_again(
    world: World, slow, proxy
):
    await world.suppress(OTHER)
    await give_up(slow, proxy)
    assert world.gate.allows(OTHER)
    await proxy.release()
    assert not world.gate.allows(OTHER)
    await world.projection.drain()
    assert (await world.projection.verify()).clean


def leave_no_time_to_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a builder that fails leave everything as it is, as one that is killed."""

    async def nothing(*_: object) -> None:
        return

    for cleaning in ("discard", "_give_up"):
        monkeypatch.setattr(f"admin_web.projection.rebuild.{cleaning}", nothing)


@pytest.fixture
async def dead_builder(slow: Projection, proxy: LateProxy, monkeypatch) -> None:
    """A builder killed after it sent its flip: it did not clean up, so generation 2 and the held-back flip remain."""
    with monkeypatch.context() as killed:
        leave_no_time_to_clean_up(killed)
        proxy.hold(b"EXEC")
        with pytest.raises(RedisUnavailable):
            await slow.rebuild()


async def begin_another(world: World) -> None:
    """Start another builder, which claims the next generation and is then killed."""
    async with world.mortal(Fuse("before SET")) as another:
        with pytest.raises(Killed):
            await another.rebuild()


async def test_a_flip_that_arrives_after_a_change_is_not_made(world: World, proxy, dead_builder):
    await world.suppress(OTHER)
    await world.projection.drain()
    await proxy.release()
    assert not world.gate.allows(OTHER)
    assert not world.gate.allows(LISTED)
    assert (await world.projection.verify()).clean


async def test_a_flip_whose_builder_gave_up_is_not_made(world: World, slow, proxy):
    """A builder that gives up deletes its mark and then the numbers: a late flip would put an empty generation live."""
    proxy.hold(b"EXEC")
    with pytest.raises(RedisUnavailable):
        await slow.rebuild()
    await proxy.release()
    assert not world.gate.allows(LISTED)
    assert (await world.projection.verify()).clean


async def test_a_flip_that_arrives_after_its_generation_was_swept_is_not_made(world: World, proxy, dead_builder):
    assert await world.keys("dnc:2:*") == ["dnc:2:build", "dnc:2:internal:{1415555}"]
    await begin_another(world)
    await sweep(world.projection.sides, grace_s=0)
    assert await world.keys("dnc:2:*") == []
    await proxy.release()
    assert not world.gate.allows(LISTED)
    await world.projection.drain()
    assert (await world.projection.verify()).clean


@pytest.mark.exhaustive
async def test_a_flip_that_arrives_while_its_generation_is_swept_is_not_made(world: World, slow, proxy, monkeypatch):
    numbers = [f"+1415{line:07}" for line in range(2_000_000, 9_000_000, 1000)]
    for first in range(0, len(numbers), 1000):
        await world.suppress_many(numbers[first : first + 1000])
    await world.projection.drain()
    leave_no_time_to_clean_up(monkeypatch)
    proxy.hold(b"EXEC")
    with pytest.raises(RedisUnavailable):
        await slow.rebuild()
    await begin_another(world)
    release = Meanwhile("after UNLINK", proxy.release)
    async with world.mortal(release) as sweeper:
        await sweep(sweeper.sides, grace_s=0)
    await release.happening
    assert [number for number in numbers if world.gate.allows(number)] == []
    assert await world.keys("dnc:2:*") == []


async def test_a_flip_that_arrives_just_before_its_generation_is_swept_keeps_it(world: World, proxy, dead_builder):
    await begin_another(world)
    release = Meanwhile("before SCAN", proxy.release, within_s=60)
    async with world.mortal(release) as sweeper:
        await sweep(sweeper.sides, grace_s=0)
    assert release.happening is not None
    await release.happening
    assert world.redis.hget(STATE, "generation") == b"2"
    assert not world.gate.allows(LISTED)
    assert (await world.projection.rebuild()).generation == 4


async def test_a_flip_that_arrives_before_anything_else_is_whole_and_goes_on_record(world: World, proxy, dead_builder):
    await proxy.release()
    assert world.gate.rule(LISTED).reason == "internal-dnc"
    assert (await world.projection.verify()).generation == 2
    await world.suppress(OTHER)
    await world.projection.drain()
    assert not world.gate.allows(OTHER)
    assert (await world.projection.verify()).clean
    assert (await world.projection.rebuild()).generation == 3
