"""What tests put in force without a rebuild is what a rebuild writes."""

from typing import Any

from sqlalchemy import delete, select, update

from admin_web.record.models import ProjectionMark, ProjectionRow
from compliance.redis_schema import LEASE, REBUILT_AT, STATE
from tests.support.projection import World
from tests.support.rebuilt import FirstRebuild

LEASE_S = 60.0
NUMBER = "+14155550100"
NOTHING = {"turn": 0, "generation": 0, "building": None, "building_since_turn": None, "building_at": None}


async def written(world: World) -> dict[str, Any]:
    """Return everything but the times that a rebuild writes."""
    async with world.database.read() as session:
        row = (await session.execute(select(ProjectionRow.__table__))).one()
        marks = (await session.scalars(select(ProjectionMark.mark).order_by(ProjectionMark.id))).all()
    state = world.redis.hgetall(STATE)
    assert state.pop(REBUILT_AT.encode())
    values = {key: world.redis.get(key) for key in world.redis.scan_iter() if key != STATE.encode()}
    assert 0 < world.redis.pttl(LEASE) <= 60_000
    return {"row": row, "marks": marks, "state": state, "values": values}


async def take_away(world: World) -> None:
    world.redis.flushall()
    async with world.database.write() as session:
        await session.execute(delete(ProjectionMark))
        await session.execute(update(ProjectionRow).values(**NOTHING))


async def test_a_repeated_rebuild_writes_what_the_first_has_written(database, redis_server):
    first = FirstRebuild()
    async with World(database, redis_server) as world:
        await first.put_in_force(world.projection, LEASE_S)
        rebuilt = await written(world)
        assert (rebuilt["row"].generation, len(rebuilt["marks"])) == (1, 2)
        await take_away(world)
        await first.put_in_force(world.projection, LEASE_S)
        assert await written(world) == rebuilt


async def test_a_repeated_rebuild_is_in_force_on_another_server(database, redis_server):
    first = FirstRebuild()
    async with World(database, redis_server) as world:
        await first.put_in_force(world.projection, LEASE_S)
        await take_away(world)
    redis_server.kill()
    redis_server.start()
    async with World(database, redis_server) as world:
        await first.put_in_force(world.projection, LEASE_S)
        assert world.gate.allows(NUMBER)
        await world.projection.renew_lease()
        assert (await world.projection.verify()).clean
