"""How each program opens the database and the projection at its start."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import NamedTuple

import structlog
from sqlalchemy import func, select

from admin_web.projection.projection import Projection
from admin_web.record.changes import Records, utc_now
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.database_faults import WrongDatabase
from admin_web.record.models import DoNotCallRequest, Override
from admin_web.record.schema import migrate, require_current
from admin_web.settings import AdminSettings

log = structlog.get_logger()


@asynccontextmanager
async def opened_database(settings: AdminSettings) -> AsyncIterator[Database]:
    """Open the database and check its tables. Raises DatabaseUnavailable, SchemaMismatch."""
    async with Database(settings.database) as database:
        await require_current(database)
        yield database


async def require_own_tables(settings: AdminSettings) -> None:
    """Raise SchemaMismatch or WrongDatabase if the database is not one of this program.

    A database that cannot be reached now is no fault, because it may come back. It is logged.
    """
    try:
        async with opened_database(settings):
            pass
    except WrongDatabase:
        raise
    except DatabaseUnavailable as error:
        log.warning("database away", trouble=str(error))


@asynccontextmanager
async def opened_records(settings: AdminSettings) -> AsyncIterator[Records]:
    """Open the database and its projection. Raises DatabaseUnavailable, SchemaMismatch."""
    async with opened_database(settings) as database, Projection(database, settings) as projection:
        yield Records(database, projection, rules=settings.consent_rules)


class ContestedOverride(NamedTuple):
    """A live override although somebody on its number has asked not to be called since, and the days of both."""

    id: int
    lead: str
    number: str
    consented_on: date
    asked_on: date


async def migrate_tables(settings: AdminSettings) -> tuple[str, Sequence[ContestedOverride]]:
    """Migrate the tables to this version. Raises DatabaseUnavailable, SchemaMismatch.

    Returns the revision, and the live overrides that break the rule that a newer request closes a lead.
    """
    async with Database(settings.database) as database:
        revision = await migrate(database)
        async with database.read() as session:
            one, asked = Override, DoNotCallRequest
            newest = select(func.max(asked.asked_on)).where(asked.number == one.number, asked.withdrawn_at.is_(None))
            contested = select(one.id, one.lead_id, one.number, one.consented_on, newest.scalar_subquery()).where(
                *one.live(utc_now()), one.contested()
            )
            return revision, [ContestedOverride(*row) for row in await session.execute(contested.order_by(one.id))]
