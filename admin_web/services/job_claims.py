"""Claims: a worker that runs a job writes its name to the job's row in the table `jobs`.

After the claim, the worker records heartbeats. Each of its writes to the row takes effect only while the row still has
the worker's name and no outcome. So the next write of a worker that was wrongly considered dead, or whose job was
cancelled, changes nothing and raises NotOurs.
"""

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, false, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Change
from admin_web.record.models import Job

BEAT_S = 1.0
SILENT_S = 15.0
"""Seconds without a heartbeat after which a worker is considered dead. A live worker never waits that long for a lock
and never pauses that long.
"""

MOST_TRIES = 5
"""Maximum number of consecutive claims of a job without a new checkpoint, so that a job that kills its workers is not
retried for ever.
"""

DONE, FAILED, CANCELLED = "done", "failed", "cancelled"


class NotOurs(Exception):
    """The job was cancelled, or another worker has taken it over."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker may run, with its progress and its checkpoint (`place`) at the time of the claim."""

    id: int
    kind: str
    worker: str
    tries: int
    asked_by: str
    asked_from: str
    particulars: dict[str, Any]
    progress: dict[str, Any]
    place: dict[str, Any]


def worker_name() -> str:
    """Return a unique name for a worker."""
    return f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"


async def is_any(session: AsyncSession, kind: str, worker: str, at: datetime, *, right_clock: bool = True) -> bool:
    """Return whether there is a job to claim, without waiting for locks."""
    return await session.scalar(_claimable(kind, worker, at, right_clock=right_clock)) is not None


async def claim(
    session: AsyncSession, kind: str, worker: str, at: datetime, *, right_clock: bool = True
) -> Claim | None:
    """Claim the oldest job that may be run; None if there is none."""
    claimable = _claimable(kind, worker, at, right_clock=right_clock)
    job = await session.scalar(claimable.with_for_update(skip_locked=True))
    if job is None:
        return None
    if job.claimed_by != worker:
        job.tries += 1
        job.claimed_by, job.claimed_at = worker, at
    job.beat_at = at
    return Claim(
        job.id, job.kind, worker, job.tries, job.asked_by, job.asked_from,
        dict(job.particulars), dict(job.progress), dict(job.place),
    )  # fmt: skip


async def beat(session: AsyncSession, ours: Claim, progress: dict[str, Any], at: datetime) -> None:
    """Record a heartbeat and the progress. Raises NotOurs."""
    await _write(session, ours, progress=progress, beat_at=at)


async def checkpoint(
    session: AsyncSession, ours: Claim, progress: dict[str, Any], place: dict[str, int], at: datetime
) -> None:
    """Record the checkpoint from which to resume, in the transaction of the work before it. Raises NotOurs."""
    await _write(session, ours, progress=progress, place=place, beat_at=at, tries=0)


async def note(
    session: AsyncSession, ours: Claim, progress: dict[str, Any], place: dict[str, int], at: datetime
) -> None:
    """Record progress and `place` of work that the next worker must start again.

    `tries` is not reset. Raises NotOurs.
    """
    await _write(session, ours, progress=progress, place=place, beat_at=at)


async def release(session: AsyncSession, ours: Claim, progress: dict[str, Any]) -> None:
    """Release the claim, so that another worker resumes the job. Raises NotOurs."""
    await _write(session, ours, progress=progress, claimed_by=None, tries=0)


async def end(change: Change, ours: Claim, progress: dict[str, Any], outcome: str, message: str) -> None:
    """Record the end of the job. The audit event names the person who requested the job. Raises NotOurs."""
    await _write(
        change.session, ours, progress=progress, beat_at=change.at, ended_at=change.at, outcome=outcome, message=message
    )
    change.audit("end-job", "job", ours.id, job=ours.kind, outcome=outcome, message=message)


async def _write(session: AsyncSession, ours: Claim, **values: object) -> None:
    written = update(Job).where(*_ours(ours)).values(**values).returning(Job.id)
    if await session.scalar(written.execution_options(synchronize_session=False)) is None:
        raise NotOurs(f"job {ours.id} was cancelled, or another worker has taken it over")


def _claimable(kind: str, worker: str, at: datetime, *, right_clock: bool) -> Select[Job]:
    """Select the oldest job that is queued, or whose worker sends no heartbeats.

    A heartbeat far ahead of `at` was sent by a worker with a wrong clock. Only a worker whose own clock is right can
    tell, so another one takes no job over.

    A worker runs one job of a kind at a time, and looks for the next one afterwards. So an open job that has this
    worker's name is one that the worker has stopped running.
    """
    within = timedelta(seconds=SILENT_S)
    silent = or_(Job.beat_at < at - within, Job.beat_at > at + within) if right_clock else false()
    free = or_(Job.claimed_by.is_(None), Job.claimed_by == worker, silent)
    return select(Job).where(Job.outcome == "", Job.kind == kind, free).order_by(Job.id).limit(1)


def _ours(ours: Claim) -> tuple[ColumnElement[bool], ...]:
    return Job.id == ours.id, Job.claimed_by == ours.worker, Job.outcome == ""
