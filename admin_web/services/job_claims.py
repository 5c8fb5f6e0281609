"""Which worker is at which job, as rows of the table `jobs` say.

A worker claims a job by putting its own name on the row, and then beats. Whatever it puts on record of the job is
fenced: it is written only while the row still bears that name and no outcome. A worker that was taken for dead and
is not, or whose job was cancelled meanwhile, finds that out at its next write, and that write leaves nothing.
"""

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Change
from admin_web.record.models import Job

BEAT_S = 1.0
SILENT_S = 15.0
"""A worker that was not heard of for so long is taken for dead. Its lock waits and its naps are shorter."""

MOST_TRIES = 5
"""So many workers in a row may die of a job before it has kept any progress: it is not tried for ever."""

DONE, FAILED, CANCELLED = "done", "failed", "cancelled"


class NotOurs(Exception):
    """The job was cancelled, or another worker has taken it over."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker may carry out; `progress` and `place` as they stood when it was claimed."""

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
    """Make a name that no other worker has, nor ever had."""
    return f"{socket.gethostname()[:32]}:{os.getpid()}:{secrets.token_hex(4)}"


async def is_any(session: AsyncSession, kind: str, worker: str, at: datetime) -> bool:
    """Tell whether there is a job to claim, waiting for nobody."""
    return await session.scalar(_claimable(kind, worker, at)) is not None


async def claim(session: AsyncSession, kind: str, worker: str, at: datetime) -> Claim | None:
    """Put this worker's name on the oldest job that may be carried out; None when there is none."""
    job = await session.scalar(_claimable(kind, worker, at).with_for_update(skip_locked=True))
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
    """Show that the worker is at it, and how far. Raises NotOurs."""
    await _write(session, ours, progress=progress, beat_at=at)


async def keep(
    session: AsyncSession, ours: Claim, progress: dict[str, Any], place: dict[str, int], at: datetime
) -> None:
    """Put on record where to go on from, in the transaction of the work up to there. Raises NotOurs."""
    await _write(session, ours, progress=progress, place=place, beat_at=at, tries=0)


async def note(
    session: AsyncSession, ours: Claim, progress: dict[str, Any], place: dict[str, int], at: datetime
) -> None:
    """Put on record what the work is at, where the next worker would begin it anew. Raises NotOurs."""
    await _write(session, ours, progress=progress, place=place, beat_at=at)


async def release(session: AsyncSession, ours: Claim, progress: dict[str, Any]) -> None:
    """Leave the job to the next worker that comes by. Raises NotOurs."""
    await _write(session, ours, progress=progress, claimed_by=None, tries=0)


async def end(change: Change, ours: Claim, progress: dict[str, Any], outcome: str, message: str) -> None:
    """Put the end on record, in the name of the person who asked. Raises NotOurs."""
    await _write(
        change.session, ours, progress=progress, beat_at=change.at, ended_at=change.at, outcome=outcome, message=message
    )
    change.audit("end-job", "job", ours.id, job=ours.kind, outcome=outcome, message=message)


async def _write(session: AsyncSession, ours: Claim, **values: object) -> None:
    written = update(Job).where(*_ours(ours)).values(**values).returning(Job.id)
    if await session.scalar(written.execution_options(synchronize_session=False)) is None:
        raise NotOurs(f"job {ours.id} was cancelled, or another worker has taken it over")


def _claimable(kind: str, worker: str, at: datetime) -> Select[Job]:
    """Choose the oldest job that waits, or whose worker is silent.

    A job that bears this worker's own name is one that it had to let go: it carries out one of a kind at a time.
    """
    silent = or_(Job.claimed_by.is_(None), Job.claimed_by == worker, Job.beat_at < at - timedelta(seconds=SILENT_S))
    return select(Job).where(Job.outcome == "", Job.kind == kind, silent).order_by(Job.id).limit(1)


def _ours(ours: Claim) -> tuple[ColumnElement[bool], ...]:
    return Job.id == ours.id, Job.claimed_by == ours.worker, Job.outcome == ""
