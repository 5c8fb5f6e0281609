"""The registries' versions in force by the record, brought into force in Redis.

A version is hundreds of millions of numbers: the projection follows by being built anew beside the live one, which
holds the version before until the flip. So no number that both list is free for one moment.
"""

import asyncio

from admin_web.projection.builder import Progress
from admin_web.projection.drain import Sides
from admin_web.projection.live import look
from admin_web.projection.rebuild import NotNeeded, RebuildOptions, RebuildUnderWay, RegistriesMoved, rebuild
from admin_web.projection.truth import registry_versions

WAIT_S = 0.5
"""How often it is asked whether the builder that is at work has come to its end."""


async def behind(sides: Sides) -> dict[str, tuple[int, int]]:
    """Give each registry of which Redis holds another version than the one in force: Redis's, SQL's; 0 for none.

    Raises StoreUnavailable, DatabaseUnavailable.
    """
    async with sides.database.read() as session:
        wanted = await registry_versions(session)
    async with sides.store.wire() as wire:
        held = (await look(wire)).versions
    names = sorted(wanted.keys() | held.keys())
    pairs = {name: (held.get(name, 0), wanted.get(name, 0)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


async def follow(sides: Sides, terms: RebuildOptions, progress: Progress) -> None:
    """Return when Redis holds every version that was in force before this call.

    Raises NotRebuilt or one of its kinds, StoreUnavailable, DatabaseUnavailable; Redis then stays as it is.
    """
    while await behind(sides):
        try:
            await rebuild(sides, terms, progress)
        except RebuildUnderWay:
            await asyncio.sleep(WAIT_S)
        except RegistriesMoved:
            continue
        except NotNeeded:
            return
