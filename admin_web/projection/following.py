"""Brings new registry versions, which are in force in SQL, into force in Redis.

A version may have hundreds of millions of numbers. So the projection is rebuilt beside the live one, which keeps the
previous version until the flip. A number that both versions list stays blocked all the time.
"""

import asyncio

from admin_web.projection.drain import Sides
from admin_web.projection.live import read_live
from admin_web.projection.progress import Progress
from admin_web.projection.rebuild import RebuildOptions, rebuild
from admin_web.projection.rebuild_outcome import NotNeeded, RebuildUnderWay, RegistriesMoved
from admin_web.projection.truth import registry_versions

WAIT_S = 0.5
"""Seconds between two checks whether another builder has finished."""


async def behind(sides: Sides) -> dict[str, tuple[int, int]]:
    """Return the registries whose version in Redis is not the one in force: (Redis, SQL), 0 for none.

    Raises RedisUnavailable, DatabaseUnavailable.
    """
    async with sides.database.read() as session:
        wanted = await registry_versions(session)
    async with sides.store.wire() as wire:
        held = (await read_live(wire)).versions
    names = sorted(wanted.keys() | held.keys())
    pairs = {name: (held.get(name, 0), wanted.get(name, 0)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


async def follow(sides: Sides, options: RebuildOptions, progress: Progress) -> None:
    """Rebuild until Redis holds every version that was in force before this call.

    Raises NotRebuilt or a subclass, RedisUnavailable, DatabaseUnavailable; Redis is then unchanged.
    """
    while await behind(sides):
        try:
            await rebuild(sides, options, progress)
        except RebuildUnderWay:
            await asyncio.sleep(WAIT_S)
        except RegistriesMoved:
            continue
        except NotNeeded:
            return
