"""Background jobs, for their pages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from admin_web.lists.registries.import_jobs import open_import
from admin_web.queries.paging import PAGE_ROWS, Key, Page, behind, page_of
from admin_web.record.database import Database
from admin_web.record.models import Job
from admin_web.services.job_claims import SILENT_S
from admin_web.services.job_kinds import JOB_KINDS
from admin_web.services.jobs import UnknownJob


@dataclass(frozen=True, slots=True)
class JobSeen:
    """One job. `state` is `waiting`, `running`, `silent` (no heartbeat), `done`, `failed` or `cancelled`."""

    id: int
    kind: str
    state: str
    message: str
    particulars: dict[str, Any]
    progress: dict[str, Any]
    asked_at: datetime
    asked_by: str
    claimed_at: datetime | None
    ended_at: datetime | None

    @property
    def title(self) -> str:
        """Name of this kind of job, for people."""
        return JOB_KINDS[self.kind].title if self.kind in JOB_KINDS else self.kind

    @property
    def over(self) -> bool:
        """Whether the job has ended."""
        return self.ended_at is not None

    @property
    def phase(self) -> str:
        """Name of the current phase."""
        return str(self.progress.get("phase", ""))

    @property
    def done(self) -> int:
        """Units finished in this phase."""
        return int(self.progress.get("done", 0))

    @property
    def total(self) -> int:
        """Units of this phase; 0 when unknown."""
        return int(self.progress.get("total", 0))

    @property
    def per_s(self) -> float:
        """Units finished per second."""
        return float(self.progress.get("per_s", 0))

    @property
    def seconds_left(self) -> int | None:
        """Estimated seconds until the end of this phase; None when unknown."""
        if self.over or not self.per_s or not self.total:
            return None
        return round(max(0, self.total - self.done) / self.per_s)

    @property
    def counts(self) -> dict[str, int]:
        """Counters of the job, by name."""
        return dict(self.progress.get("counts", {}))


async def jobs(database: Database, at: datetime, *, after: Key | None = None, rows: int = PAGE_ROWS) -> Page[JobSeen]:
    """Return a page of jobs, newest first. Raises DatabaseUnavailable."""
    query = _all().order_by(Job.id.desc()).limit(rows + 1)
    if after is not None:
        query = query.where(behind((Job.id,), after, descending=True))
    async with database.read() as session:
        found = [_seen(row, at) for row in await session.execute(query)]
    return page_of(found, lambda job: (job.id,), rows)


async def one_job(database: Database, job_id: int, at: datetime) -> JobSeen:
    """Return one job in its state at `at` (aware UTC). Raises UnknownJob, DatabaseUnavailable."""
    async with database.read() as session:
        row = (await session.execute(_all().where(Job.id == job_id))).first()
    if row is None:
        raise UnknownJob(f"There is no job {job_id}.")
    return _seen(row, at)


async def import_of(database: Database, registry: str) -> int | None:
    """Return the id of the open job that imports a registry; None when there is none."""
    async with database.read() as session:
        return await open_import(session, registry)


def _all() -> Select[*tuple[Any, ...]]:
    return select(
        Job.id, Job.kind, Job.outcome, Job.message, Job.particulars, Job.progress, Job.asked_at, Job.asked_by,
        Job.claimed_at, Job.claimed_by, Job.beat_at, Job.ended_at,
    )  # fmt: skip


def _seen(row: "Row[*tuple[Any, ...]]", at: datetime) -> JobSeen:
    return JobSeen(
        row.id, row.kind, row.outcome or _open_state(row.claimed_by, row.beat_at, at), row.message, row.particulars,
        row.progress, row.asked_at, row.asked_by, row.claimed_at, row.ended_at,
    )  # fmt: skip


def _open_state(claimed_by: str | None, beat_at: datetime | None, at: datetime) -> str:
    if claimed_by is None or beat_at is None:
        return "waiting"
    return "silent" if (at - beat_at).total_seconds() > SILENT_S else "running"
