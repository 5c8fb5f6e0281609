"""Request of a registry import.

A registry has one import at a time, and replaces only the version that the person saw.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Self

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.lists.registries.version_request import VersionRequest
from admin_web.lists.sheet_store import KeptSheet
from admin_web.record.changes import Actor, Change, utc_now
from admin_web.record.database import Database
from admin_web.record.models import Job, Registry
from admin_web.services.job_kinds import IMPORT_REGISTRY
from admin_web.services.jobs import JobUnderWay, ask
from admin_web.services.registries import UnknownRegistry, VersionMoved


@dataclass(frozen=True, slots=True)
class RegistryImport:
    """Particulars of an import: the sheet, and the fields of `intake.VersionRequest` and `reader.Reading`.

    `obtained_on` is a day, which counts from midnight UTC.
    """

    sheet: KeptSheet
    taken_as: str
    obtained_on: date
    over: int
    form: str | None = None
    column: str | None = None
    account: str | None = None
    allow_drop: bool = False

    @classmethod
    def read(cls, particulars: Mapping[str, Any]) -> Self:
        """Create from the JSON of `particulars`."""
        sheet, day = KeptSheet(**particulars["sheet"]), date.fromisoformat(particulars["obtained_on"])
        return cls(**{**particulars, "sheet": sheet, "obtained_on": day})

    @property
    def particulars(self) -> dict[str, Any]:
        """The JSON for the job's row."""
        return {**asdict(self), "obtained_on": self.obtained_on.isoformat()}

    def wanted(self, pause_s: float) -> VersionRequest:
        """Convert to a request for an intake."""
        obtained_at = datetime.combine(self.obtained_on, time(), UTC)
        return VersionRequest(
            self.sheet.registry, self.taken_as, obtained_at, None, self.account, self.allow_drop, pause_s, self.over
        )


async def ask_import(
    database: Database, actor: Actor, asked: RegistryImport, *, now: Callable[[], datetime] = utc_now
) -> int:
    """Queue the job and return its id. Raises NotPermitted, UnknownRegistry, JobUnderWay, VersionMoved."""
    name = asked.sheet.registry

    async def unless(change: Change) -> None:
        registry = await change.session.get(Registry, name, with_for_update=True)
        if registry is None:
            raise UnknownRegistry(f"There is no registry {name}.")
        if (registry.version_in_force_id or 0) != asked.over:
            raise VersionMoved(name)
        if (job := await open_import(change.session, name)) is not None:
            raise JobUnderWay(IMPORT_REGISTRY, job)

    return await ask(database, actor, IMPORT_REGISTRY.name, asked.particulars, now=now, unless=unless)


async def open_import(session: AsyncSession, name: str) -> int | None:
    """Return the id of the open job that imports this registry; None when there is none."""
    open_jobs = select(Job.id, Job.particulars).where(Job.outcome == "", Job.kind == IMPORT_REGISTRY.name)
    found = await session.execute(open_jobs)
    return next((job_id for job_id, asked in found if asked["sheet"]["registry"] == name), None)
