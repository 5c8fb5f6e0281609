"""Clean-up of incomplete versions, left by interrupted imports."""

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database
from admin_web.record.models import Job, RegistryExchange, RegistryVersion
from admin_web.record.registry_versions import ROWS_AT_ONCE, UNDER_WAY
from admin_web.services.job_kinds import IMPORT_REGISTRY

SILENT = timedelta(hours=1)
"""Time without a heartbeat after which an import is considered dead. Counting every exchange takes up to a minute."""


async def discard(database: Database, version_id: int) -> None:
    """Abandon an incomplete version: its row stays, its numbers are deleted. Raises DatabaseUnavailable."""
    ours = RegistryVersion.id == version_id
    async with database.write() as session:
        await session.execute(update(RegistryVersion).where(ours, *UNDER_WAY).values(beat_at=None))
    given_up = exists().where(ours, RegistryVersion.whole_at.is_(None), RegistryVersion.beat_at.is_(None))
    some = select(RegistryExchange.exchange).where(RegistryExchange.version_id == version_id).limit(ROWS_AT_ONCE)
    gone = delete(RegistryExchange).where(
        RegistryExchange.version_id == version_id, RegistryExchange.exchange.in_(some), given_up
    )
    left = True
    while left:
        async with database.write() as session:
            deleted = await session.execute(gone.returning(RegistryExchange.version_id))
            left = len(deleted.all()) == ROWS_AT_ONCE


async def sweep_versions(database: Database, at: datetime) -> int:
    """Abandon versions whose import is dead at `at` (aware UTC). Return their number. Raises DatabaseUnavailable."""
    async with database.read() as session:
        left = await _left(session, at)
    for version_id in left:
        await discard(database, version_id)
    return len(left)


async def _left(session: AsyncSession, at: datetime) -> list[int]:
    """Return incomplete versions, except those of an open job, and those without a job that have a recent heartbeat."""
    held = exists().where(RegistryExchange.version_id == RegistryVersion.id)
    unwhole = select(RegistryVersion.id, RegistryVersion.beat_at).where(
        RegistryVersion.whole_at.is_(None), or_(RegistryVersion.beat_at.is_not(None), held)
    )
    found = [(row[0], row[1]) for row in await session.execute(unwhole)]
    if not found:
        return []
    jobs = await session.execute(select(Job.place, Job.outcome).where(Job.kind == IMPORT_REGISTRY.name))
    open_of = {place.get("version"): not outcome for place, outcome in jobs}
    return [
        version_id
        for version_id, beat_at in found
        if not open_of.get(version_id, beat_at is not None and abs(at - beat_at) < SILENT)
    ]
