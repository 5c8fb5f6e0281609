"""Background jobs: how people request and cancel them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from admin_web.people.permissions import allowed
from admin_web.record.changes import Actor, Change, changing, utc_now
from admin_web.record.database import Database
from admin_web.record.models import Job
from admin_web.services.job_claims import CANCELLED
from admin_web.services.job_kinds import JOB_KINDS, JobKind
from compliance.refusal import Refused, require


class UnknownJob(Refused):
    """No job has this id."""


class JobUnderWay(Refused):
    """A job of this kind is already queued or running, and only one is allowed. `job_id` is the id of that job."""

    def __init__(self, kind: JobKind, job_id: int) -> None:
        super().__init__(f"“{kind.title}” is already running or queued, as job {job_id}. Wait for it, or cancel it.")
        self.job_id = job_id


class JobOver(Refused):
    """The job has already ended."""


async def ask(
    database: Database,
    actor: Actor,
    kind: str,
    particulars: Mapping[str, Any] | None = None,
    *,
    now: Callable[[], datetime] = utc_now,
    unless: Callable[[Change], Awaitable[None]] | None = None,
) -> int:
    """Queue a job for a worker and return its id. `particulars` must be JSON values.

    `unless` runs in the same transaction, and can refuse the job by raising an exception. Raises NotPermitted,
    JobUnderWay.
    """
    wanted = JOB_KINDS[kind]
    require(lambda role: allowed(role, wanted.may), actor.role, f"request “{wanted.title}”")
    async with changing(database, actor, now) as change:
        if wanted.alone:
            await _require_none(change, wanted)
        if unless is not None:
            await unless(change)
        job = Job(
            kind=kind,
            particulars=dict(particulars or {}),
            progress={},
            place={},
            asked_at=change.at,
            asked_by=actor.name,
            asked_from=actor.address[:64],
        )
        change.session.add(job)
        await change.session.flush()
        change.audit("ask-job", "job", job.id, job=kind)
    return job.id


async def cancel(database: Database, actor: Actor, job_id: int, *, now: Callable[[], datetime] = utc_now) -> None:
    """Cancel a job at once. What the job has recorded stays, and it records nothing more.

    Raises UnknownJob, NotPermitted, JobOver.
    """
    async with changing(database, actor, now) as change:
        job = await change.session.scalar(select(Job).where(Job.id == job_id).with_for_update())
        if job is None:
            raise UnknownJob(f"There is no job {job_id}.")
        kind = JOB_KINDS[job.kind]
        require(lambda role: allowed(role, kind.may), actor.role, f"cancel “{kind.title}”")
        if job.outcome:
            raise JobOver(f"Job {job_id} has already ended: {job.outcome}.")
        job.outcome, job.ended_at = CANCELLED, change.at
        job.message = f"Cancelled by {actor.name}. What it recorded stays."
        change.audit("cancel-job", "job", job_id, job=job.kind)


async def _require_none(change: Change, kind: JobKind) -> None:
    """Raise JobUnderWay if a job of this kind is queued or running."""
    found = await change.session.scalar(select(Job.id).where(Job.outcome == "", Job.kind == kind.name).limit(1))
    if found is not None:
        raise JobUnderWay(kind, found)
