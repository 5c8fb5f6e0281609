"""An outbox row that names a range of entries brings each of their numbers into force as SQL has it then."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from admin_web.projection import outbox
from admin_web.record.changes import changing
from admin_web.record.database import Database
from admin_web.record.models import OutboxRow
from admin_web.services.importing import add_entries_within, begin_import
from compliance.numbers import E164
from lab.redis import RedisServer
from tests.support.projection import ADMIN, World

NUMBERS = [E164(f"+1415555{line:04}") for line in range(100, 110)]


@pytest.fixture
async def world(database: Database, redis_server: RedisServer) -> AsyncIterator[World]:
    async with World(database, redis_server) as world:
        await world.projection.rebuild()
        yield world


async def queued(world: World, numbers: list[E164]) -> None:
    """Record entries of an import without bringing them into force."""
    async with changing(world.database, ADMIN) as change:
        await add_entries_within(change, await begin_import(change, "list.csv", ""), numbers)


async def test_all_numbers_of_a_range_are_blocked_once_the_drain_returns(world: World):
    await queued(world, NUMBERS)
    assert world.gate.allows(NUMBERS[0])
    await world.projection.drain()
    assert not any(map(world.gate.allows, NUMBERS))
    assert (await world.projection.verify()).clean


async def test_a_number_that_was_lifted_since_stays_callable_and_one_listed_again_does_not(world: World):
    await queued(world, NUMBERS)
    await world.lift(NUMBERS[3])
    await world.lift(NUMBERS[4])
    await world.suppress(NUMBERS[4])
    await world.projection.drain()
    assert [number for number in NUMBERS if world.gate.allows(number)] == [NUMBERS[3]]
    assert (await world.projection.verify()).clean


async def test_a_range_that_is_applied_again_after_a_lift_lists_nothing_that_is_lifted(world: World):
    """A process that dies after Redis has acknowledged a turn leaves its rows pending."""
    await queued(world, NUMBERS)
    async with world.database.read() as session:
        (row,), _ = await outbox.oldest_pending(session, 1_000_000)
    await world.projection.drain()
    await world.lift(NUMBERS[0])
    await world.projection.drain()
    async with world.database.write() as session:
        again = update(OutboxRow).where(OutboxRow.id == row.id).values(applied_turn=None, applied_at=None)
        await session.execute(again)
    await world.projection.drain()
    assert world.gate.allows(NUMBERS[0])
    assert (await world.projection.verify()).clean


async def test_a_rebuild_catches_up_with_a_range(world: World):
    await queued(world, NUMBERS)
    await world.projection.rebuild()
    assert not any(map(world.gate.allows, NUMBERS))
    async with world.database.read() as session:
        assert await outbox.pending_ids(session) == set()


async def test_ranges_that_wait_are_read_one_batch_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("admin_web.projection.outbox.NUMBERS_AT_ONCE", 5)
    for start in (0, 4, 8):
        await queued(world, NUMBERS[start : start + 4])
    async with world.database.read() as session:
        rows, more = await outbox.oldest_pending(session, 1_000_000)
    assert ([row.numbers for row in rows], more) == ([list(NUMBERS[:4])], True)
    await world.projection.drain()
    assert not any(map(world.gate.allows, NUMBERS))
