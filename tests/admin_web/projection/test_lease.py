"""The lease is renewed only while Redis holds the projection on record, also while other processes write to it."""

import asyncio

import pytest

from admin_web.projection import lease
from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.wire import Wire
from admin_web.record.database import Database
from lab.redis import RedisServer
from tests.support.projection import World

LISTED = "+14155550100"


async def test_a_writer_at_each_look_at_redis_does_not_delay_the_lease(
    database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    writing = list[asyncio.Task[None]]()

    async def write(number: str) -> None:
        await world.suppress(number)
        await world.projection.drain()

    async def look(wire: Wire) -> LiveProjection:
        live = await read_live(wire)
        writing.append(asyncio.ensure_future(write(f"+1415555{len(writing):04}")))
        # The second look has the turn, for which others wait.
        await asyncio.wait(writing, timeout=None if len(writing) == 1 else 0.2)
        return live

    async with World(database, redis_server) as world:
        await world.suppress(LISTED)
        await world.projection.rebuild()
        monkeypatch.setattr(lease, "read_live", look)
        async with asyncio.timeout(60):
            held = await lease.verified(world.projection.sides)
        assert len(writing) == 2
        assert held.state is not None
        await asyncio.gather(*writing)
