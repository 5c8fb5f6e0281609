"""How each program opens the database and the projection at its start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from admin_web.projection.projection import Projection
from admin_web.record.changes import Records
from admin_web.record.database import Database
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
        yield Records(database, projection)


async def migrate_tables(settings: AdminSettings) -> str:
    """Migrate the tables to this version and return its revision. Raises DatabaseUnavailable, SchemaMismatch."""
    async with Database(settings.database) as database:
        return await migrate(database)
