"""The import of a registry's file, asked for: never two of one registry, and never on what was seen too long ago."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.database import Database
from admin_web.jobs.asking import JobUnderWay, ask
from admin_web.jobs.kinds import KINDS
from admin_web.jobs.registries import Asked
from admin_web.registries.leftovers import IMPORT_REGISTRY
from admin_web.registries.versions import Moved
from admin_web.services.records import Actor, Change, utc_now
from admin_web.services.registries import UnknownRegistry
from compliance.models import Job, Registry


async def ask_import(database: Database, actor: Actor, asked: Asked, *, now: Callable[[], datetime] = utc_now) -> int:
    """Put the job on record; give its id. Raises NotPermitted, UnknownRegistry, JobUnderWay, Moved."""
    name = asked.sheet.registry

    async def unless(change: Change) -> None:
        registry = await change.session.get(Registry, name, with_for_update=True)
        if registry is None:
            raise UnknownRegistry(f"There is no registry {name}.")
        if (registry.version_in_force_id or 0) != asked.over:
            raise Moved(name)
        if (job := await open_import(change.session, name)) is not None:
            raise JobUnderWay(KINDS[IMPORT_REGISTRY], job)

    return await ask(database, actor, IMPORT_REGISTRY, asked.particulars, now=now, unless=unless)


async def open_import(session: AsyncSession, name: str) -> int | None:
    """Give the id of the job that imports a file of this registry; None when there is none."""
    open_jobs = select(Job.id, Job.particulars).where(Job.outcome == "", Job.kind == IMPORT_REGISTRY)
    found = await session.execute(open_jobs)
    return next((job_id for job_id, asked in found if asked["sheet"]["registry"] == name), None)
