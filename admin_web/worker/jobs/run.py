"""A running job: its particulars, its progress, and the services it uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.projection import Projection
from admin_web.record.changes import Actor, Records
from admin_web.services import job_claims as claims
from admin_web.services.job_claims import Claim
from admin_web.settings import AdminSettings


class JobFailed(Exception):
    """The job cannot be done; the message is shown on its page."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Services that jobs use."""

    records: Records
    projection: Projection
    settings: AdminSettings


class Pace:
    """Work done per second, averaged over about the last ten seconds."""

    WINDOW_S = 10.0

    def __init__(self) -> None:
        self._phase = ""
        self._seen: list[tuple[float, int]] = []

    def at(self, phase: str, done: int) -> float:
        """Record that `done` units of a phase are finished. Return the units per second, 0 while unknown."""
        now = monotonic()
        if phase != self._phase:
            self._phase, self._seen = phase, []
        if not self._seen or now - self._seen[-1][0] >= self.WINDOW_S / 20:
            self._seen = [(at, then) for at, then in self._seen if now - at < self.WINDOW_S]
            self._seen.append((now, done))
        began, then = self._seen[0]
        return (done - then) / (now - began) if now > began else 0.0


class Run:
    """A job that this worker has claimed."""

    def __init__(self, claim: Claim, tools: Tools) -> None:
        self.claim, self.tools = claim, tools
        self.progress: dict[str, Any] = claim.progress
        self._pace = Pace()

    @property
    def particulars(self) -> Mapping[str, Any]:
        """The parameters of the job, as requested."""
        return self.claim.particulars

    @property
    def place(self) -> Mapping[str, Any]:
        """The last checkpoint of an earlier worker; empty when there is none."""
        return self.claim.place

    @property
    def actor(self) -> Actor:
        """The person who requested the job.

        The job acts in their name. Their permission was checked when they requested it.
        """
        return Actor(self.claim.asked_by, self.claim.asked_from)

    def show(self, phase: str, done: int, total: int, **counts: int) -> None:
        """Report progress. The job's page shows it within about a second, with each of `counts` under its name."""
        per_s = round(self._pace.at(phase, done), 1)
        self.progress = {"phase": phase, "done": done, "total": total, "per_s": per_s, "counts": counts}

    async def keep(self, session: AsyncSession, **place: int) -> None:
        """Save a checkpoint in the same transaction as the work before it.

        Raises NotOurs when the job was cancelled or taken over by another worker, which rolls the transaction back. So
        no part of the work is ever recorded twice, even if a process is killed.
        """
        await claims.checkpoint(session, self.claim, self.progress, place, self.tools.records.now())

    async def note(self, session: AsyncSession, **place: int) -> None:
        """Save `place` for work that the next worker must start again. The count of tries is not reset."""
        await claims.note(session, self.claim, self.progress, place, self.tools.records.now())
