"""How each program opens the database and the projection at its start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import func, select

from admin_web.projection.projection import Projection
from admin_web.record.changes import Records, utc_now
from admin_web.record.database import Database
from admin_web.record.models import Override
from admin_web.record.schema import migrate, require_current
from admin_web.settings import AdminSettings


@asynccontextmanager
async def opened_database(settings: AdminSettings) -> AsyncIterator[Database]:
    """Open the database and check its tables. Raises DatabaseUnavailable, SchemaMismatch."""
    async with Database(settings.database) as database:
        await require_current(database)
        yield database


@asynccontextmanager
async def opened_records(settings: AdminSettings) -> AsyncIterator[Records]:
    """Open the database and its projection. Raises DatabaseUnavailable, SchemaMismatch."""
    async with opened_database(settings) as database, Projection(database, settings) as projection:
        yield Records(database, projection, rules=settings.consent_rules)


async def migrate_tables(settings: AdminSettings) -> tuple[str, int]:
    """Migrate the tables to this version. Raises DatabaseUnavailable, SchemaMismatch.

    Returns the revision, and how many live overrides are open although somebody on their number has asked not to be
    called since.
    """
    async with Database(settings.database) as database:
        revision = await migrate(database)
        async with database.read() as session:
            contested = (
                select(func.count()).select_from(Override).where(*Override.live(utc_now()), Override.contested())
            )
            return revision, await session.scalar(contested) or 0
