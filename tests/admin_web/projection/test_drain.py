"""Changes recorded in SQL come into force in Redis, one by one."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from admin_web.projection import outbox
from admin_web.projection.live import ProjectionLost
from admin_web.projection.wire import Command, RedisUnavailable, Reply, Wire
from admin_web.record.changes import NotInForce
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.models import OutboxRow, Override, ProjectionRow
from compliance.numbers import E164, LeadId
from compliance.redis_schema import STATE, epoch_ms, listed_key, override_key
from lab.redis import RedisServer
from tests.support.faults import Fuse, Killed, Meanwhile
from tests.support.projection import World

LISTED, OTHER = "+14155550100", "+14155550199"


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.projection.rebuild()
        yield world


async def pending(world: World) -> int:
    async with world.database.read() as session:
        return len(await outbox.pending_ids(session))


async def turns(world: World) -> int:
    async with world.database.read() as session:
        return await session.scalar(select(ProjectionRow.turn)) or 0


async def test_a_number_is_blocked_once_the_drain_returns_and_allowed_again_once_it_is_lifted(world: World):
    assert world.gate.allows(LISTED)
    await world.suppress(LISTED)
    await world.projection.drain()
    assert not world.gate.allows(LISTED)
    assert world.gate.allows(OTHER)
    await world.lift(LISTED)
    await world.projection.drain()
    assert world.gate.allows(LISTED)


async def test_an_override_opens_its_lead_and_no_other_until_it_is_revoked(world: World):
    await world.suppress(LISTED)
    override = await world.grant(LISTED, "lead-1")
    await world.projection.drain()
    assert world.gate.rule(LISTED, "lead-1").override == str(override)
    assert not world.gate.allows(LISTED, "lead-2")
    assert not world.gate.allows(LISTED)
    await world.revoke(override)
    await world.projection.drain()
    assert not world.gate.allows(LISTED, "lead-1")


async def test_the_key_of_an_override_ends_with_it(world: World):
    await world.suppress(LISTED)
    override = await world.grant(LISTED, "lead-1", hours=1)
    await world.projection.drain()
    async with world.database.read() as session:
        end = await session.scalar(select(Override.expires_at).where(Override.id == override))
    ends = world.redis.execute_command("PEXPIRETIME", override_key(1, E164(LISTED), LeadId("lead-1")))
    assert ends == epoch_ms(end)


async def test_an_override_that_is_over_by_the_time_it_is_applied_opens_nothing(world: World):
    await world.suppress(LISTED)
    await world.grant_until_soon(LISTED, "lead-1", milliseconds=1)
    await asyncio.sleep(0.002)
    await world.projection.drain()
    assert not world.gate.allows(LISTED, "lead-1")
    assert world.redis.exists(override_key(1, E164(LISTED), LeadId("lead-1"))) == 0


async def test_of_two_overrides_of_a_lead_the_one_that_lasts_longer_is_in_force(world: World):
    """No service places a second override, but a record merged from two databases can have one."""
    await world.suppress(LISTED)
    first = await world.grant(LISTED, "lead-1", days=30)
    for end in (timedelta(days=60), timedelta(days=10)):
        async with world.database.write() as session:
            row = (await session.scalars(select(Override).where(Override.id == first))).one()
            values = {name: getattr(row, name) for name in row.__table__.columns.keys() if name != "id"}  # noqa: SIM118
            session.add(Override(**values | {"expires_at": world.now() + end}))
    await world.projection.drain()
    assert world.gate.rule(LISTED, "lead-1").override == str(first + 1)
    assert (await world.projection.verify()).clean
    await world.projection.rebuild()
    assert world.gate.rule(LISTED, "lead-1").override == str(first + 1)


async def test_what_was_done_and_undone_before_the_drain_ends_at_the_truth(world: World):
    await world.suppress(LISTED)
    await world.lift(LISTED)
    await world.suppress(OTHER)
    await world.revoke(await world.grant(OTHER, "lead-1"))
    await world.projection.drain()
    assert world.gate.allows(LISTED)
    assert not world.gate.allows(OTHER, "lead-1")
    assert (await world.projection.verify()).clean


async def test_each_change_moves_the_count_that_the_gate_compares(world: World):
    before = int(world.redis.hget(STATE, "changes"))
    await world.suppress(LISTED)
    await world.projection.drain()
    assert int(world.redis.hget(STATE, "changes")) > before


async def test_the_numbers_of_a_list_are_counted_exactly_however_often_a_row_is_applied(world: World):
    await world.suppress_many([LISTED, OTHER, "+14165550100"])
    await world.projection.drain()
    async with world.database.write() as session:
        for row in await session.scalars(select(OutboxRow)):
            row.applied_turn = None
    await world.suppress(OTHER)
    await world.lift(LISTED)
    await world.projection.drain()
    assert world.redis.hget(STATE, "count:internal") == b"2"


async def test_a_list_that_is_new_is_asked_from_its_first_number_on(world: World):
    await world.suppress(LISTED, "house")
    await world.projection.drain()
    assert world.redis.hget(STATE, "lists") == b"internal,house"
    assert world.gate.rule(LISTED).reason == "house-dnc"


async def test_numbers_of_one_exchange_share_a_set_of_small_integers(world: World):
    await world.suppress_many([f"+1415555{line:04}" for line in range(0, 1000, 3)])
    await world.projection.drain()
    key = listed_key(1, "internal", "1415555")
    assert world.redis.scard(key) == 334
    assert world.redis.object("encoding", key) == b"intset"


async def test_a_drain_with_nothing_to_do_takes_no_turn_and_asks_no_redis(world: World):
    before = await turns(world)
    world.server.stop()
    await world.projection.drain()
    assert await turns(world) == before


async def test_many_rows_are_applied_in_portions(world: World):
    for first in range(0, 6000, 1000):
        await world.suppress_many([f"+1415{first + line:07}" for line in range(2_000_000, 2_001_000)])
    before = await turns(world)
    await world.projection.drain()
    assert await turns(world) - before == 3
    assert world.redis.hget(STATE, "count:internal") == b"6000"
    assert (await world.projection.verify()).clean


async def test_callers_who_wait_together_share_one_turn(world: World):
    for line in range(20):
        await world.suppress(f"+1415555{line:04}")
    before = await turns(world)
    await asyncio.gather(*(world.projection.drain() for _ in range(20)))
    assert await turns(world) - before <= 2
    assert await pending(world) == 0


async def test_processes_that_drain_at_once_take_their_turns(world: World):
    others = [world.behind(world.server.url) for _ in range(6)]

    async def change(number: int) -> None:
        await world.suppress(f"+1415555{number:04}")
        await others[number % 6].drain()
        assert not world.gate.allows(f"+1415555{number:04}")

    await asyncio.gather(*(change(number) for number in range(30)))
    assert (await world.projection.verify()).clean
    for other in others:
        await other.close()


async def test_while_redis_is_down_the_change_stays_pending_and_is_applied_when_it_is_back(world: World):
    world.server.running.pause()
    await world.suppress(LISTED)
    with pytest.raises(RedisUnavailable, match="did not answer in time") as error:
        await world.projection.drain()
    assert isinstance(error.value, NotInForce)
    assert await pending(world) == 1
    world.server.running.resume()
    await world.projection.drain()
    assert not world.gate.allows(LISTED)
    assert await pending(world) == 0


async def test_while_redis_does_not_answer_nobody_waits_for_a_turn_to_record_something(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    exchange = Wire.exchange

    async def patient(wire: Wire, commands: Iterable[Command], *, within_s: float = 0) -> list[Reply]:
        """Wait for Redis until the test lets it go on."""
        return await exchange(wire, commands, within_s=60)

    monkeypatch.setattr(Wire, "exchange", patient)
    await world.suppress(LISTED)
    world.server.running.pause()
    draining = asyncio.create_task(world.projection.drain())
    await asyncio.sleep(0.2)
    await world.suppress(OTHER)
    assert not draining.done()
    world.server.running.resume()
    await draining
    assert not world.gate.allows(LISTED)


async def lose_turns(world: World) -> None:
    """Terminate the other connections with open transactions, as PostgreSQL does when a client seems dead."""
    async with world.database.write() as session:
        mine = "pid <> pg_backend_pid() AND datname = current_database() AND state = 'idle in transaction'"
        await session.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))


async def test_a_process_that_loses_its_turn_at_any_step_writes_nothing_stale(world: World):
    if world.database.on_sqlite:
        return  # SQLite releases a lock only when its holder ends.
    await world.suppress(LISTED)
    for step in range(100):
        override = await world.grant(LISTED, "lead-1")

        async def overtake() -> None:
            await lose_turns(world)
            await world.revoke(override)  # noqa: B023 - it ends before the next iteration
            await world.projection.drain()

        fuse = Meanwhile(step, overtake)
        async with world.mortal(fuse) as slow:
            with suppress(DatabaseUnavailable, RedisUnavailable):
                await slow.drain()
        if fuse.happening is None:
            break
        await fuse.happening
        assert not world.gate.allows(LISTED, "lead-1")
        assert (await world.projection.verify()).clean
    assert step > 8


async def test_nothing_is_added_to_what_redis_has_lost(world: World):
    await world.suppress(LISTED)
    world.redis.flushall()
    with pytest.raises(ProjectionLost, match="holds no projection"):
        await world.projection.drain()
    assert world.redis.dbsize() == 0
    assert await pending(world) == 1


async def test_nothing_is_added_after_redis_was_restarted(world: World):
    await world.suppress(LISTED)
    world.server.restart()
    with pytest.raises(ProjectionLost, match="restarted"):
        await world.projection.drain()
    assert world.gate.rule(OTHER).detail == "other-incarnation"


async def test_nothing_is_added_to_another_generation_than_the_one_on_record(world: World):
    await world.suppress(LISTED)
    world.redis.hset(STATE, "generation", 7)
    with pytest.raises(ProjectionLost, match="another generation"):
        await world.projection.drain()


async def test_a_full_redis_is_named_and_the_change_stays_pending(world: World):
    world.redis.config_set("maxmemory", "1mb")
    await world.suppress(LISTED)
    with pytest.raises(RedisUnavailable, match="maxmemory"):
        await world.projection.drain()
    assert await pending(world) == 1
    world.redis.config_set("maxmemory", "0")
    await world.projection.drain()
    assert not world.gate.allows(LISTED)


@pytest.mark.exhaustive
async def test_a_process_killed_at_any_step_leaves_a_block_in_force_or_pending(world: World):
    await world.suppress(LISTED)
    await world.projection.drain()
    for step in range(100):
        number = f"+1415556{step:04}"
        await world.suppress(number)
        try:
            async with world.mortal(Fuse(step)) as mortal:
                await mortal.drain()
        except Killed:
            assert not world.gate.allows(LISTED)
            assert await pending(world) in {0, 1}
            await world.projection.drain()
            assert not world.gate.allows(number)
        else:
            break
    assert 8 < step < 100
    assert (await world.projection.verify()).clean


@pytest.mark.exhaustive
async def test_a_process_killed_at_any_step_of_a_revocation_leaves_it_in_force_or_pending(world: World):
    await world.suppress(LISTED)
    for step in range(100):
        override = await world.grant(LISTED, "lead-1")
        await world.projection.drain()
        assert world.gate.allows(LISTED, "lead-1")
        await world.revoke(override)
        try:
            async with world.mortal(Fuse(step)) as mortal:
                await mortal.drain()
        except Killed:
            await world.projection.drain()
            assert not world.gate.allows(LISTED, "lead-1")
        else:
            assert not world.gate.allows(LISTED, "lead-1")
            break
    assert 8 < step < 100
    assert (await world.projection.verify()).clean
