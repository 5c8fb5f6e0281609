"""Numbers of registries whose version Redis holds and SQL has lost: they go to the company's own list.

There they are blocked whatever the terms of the registry are. If there are too many, calls stay stopped until the
registry is imported again.
"""

from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.live import NotRecoverable
from admin_web.record.lines import unpack
from admin_web.record.models import Registry, RegistryVersion
from admin_web.record.registry_versions import lines_of
from admin_web.services.recovered_numbers import list_recovered
from admin_web.services.recovering import Recovering
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL, number_of

MOST = 200_000
"""Numbers of one registry that are recovered. A missed update of a registry has fewer, a whole registry has more."""


class RegistryNotRecovered(NotRecoverable):
    """Redis holds a version of a registry that SQL has lost, and its numbers are too many for the own list."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Redis holds a version of {name} that this database has lost, with more than {MOST:,} numbers that the "
            f"database does not have; calls are stopped until {name} is imported again"
        )
        self.public = str(self)


async def recover_registries(recovering: Recovering) -> None:
    """List what the lost version of each registry has and its version in SQL has not. Raises RegistryNotRecovered."""
    live = recovering.evidence.live
    for name, version in live.versions.items():
        async with recovering.sides.database.read() as session:
            if await _has(session, name, version, live.rebuilt_at) or await _imported_since(recovering, session, name):
                continue
        numbers = await _missing(recovering, name)
        note = f"Redis blocked this number as one of the registry {name}, in a version that the database has lost."
        await list_recovered(recovering, INTERNAL, sorted(numbers), note)


async def _has(session: AsyncSession, name: str, version: int, rebuilt_at: datetime | None) -> bool:
    """Return whether SQL has the version from which Redis was built. Another one may have the same id by now."""
    same = exists().where(
        RegistryVersion.id == version, RegistryVersion.registry_name == name, RegistryVersion.whole_at <= rebuilt_at
    )
    return rebuilt_at is not None and bool(await session.scalar(select(same)))


async def _imported_since(recovering: Recovering, session: AsyncSession, name: str) -> bool:
    """Return whether the registry was imported after the recovery began. That version replaces the lost one."""
    newer = exists().where(
        Registry.name == name,
        RegistryVersion.id == Registry.version_in_force_id,
        recovering.since(RegistryVersion.whole_at, recovering.sides.now()),
    )
    return bool(await session.scalar(select(newer)))


async def _missing(recovering: Recovering, name: str) -> set[E164]:
    """Return the numbers that Redis has on a registry and SQL has not. Raises RegistryNotRecovered."""
    missing: set[E164] = set()
    async for exchanges in recovering.evidence.registry(name):
        async with recovering.sides.database.read() as session:
            version = await session.scalar(select(Registry.version_in_force_id).where(Registry.name == name))
            kept = await lines_of(session, version, list(exchanges))
        for exchange, numbers in exchanges.items():
            lines = unpack(kept[exchange]) if kept.get(exchange) else ()
            missing |= numbers - {number_of(exchange, int(line)) for line in lines}
        if len(missing) > MOST:
            raise RegistryNotRecovered(name)
    return missing
