"""One job at work: what it is to do, how far it is, and what it works with."""

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
    """The job cannot be done; the message is the sentence that its page shows."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What jobs work with."""

    records: Records
    projection: Projection
    settings: AdminSettings


class Pace:
    """How much is done in a second, over the last ten or so."""

    WINDOW_S = 10.0

    def __init__(self) -> None:
        self._phase = ""
        self._seen: list[tuple[float, int]] = []

    def at(self, phase: str, done: int) -> float:
        """Take note that so much is done now; give the pace, 0 while it is not known."""
        now = monotonic()
        if phase != self._phase:
            self._phase, self._seen = phase, []
        if not self._seen or now - self._seen[-1][0] >= self.WINDOW_S / 20:
            self._seen = [(at, then) for at, then in self._seen if now - at < self.WINDOW_S]
            self._seen.append((now, done))
        began, then = self._seen[0]
        return (done - then) / (now - began) if now > began else 0.0


class Run:
    """One job that this worker has claimed."""

    def __init__(self, claim: Claim, tools: Tools) -> None:
        self.claim, self.tools = claim, tools
        self.progress: dict[str, Any] = claim.progress
        self._pace = Pace()

    @property
    def particulars(self) -> Mapping[str, Any]:
        """What is to be done, as it was asked for."""
        return self.claim.particulars

    @property
    def place(self) -> Mapping[str, Any]:
        """What an earlier worker kept last; empty when none has begun."""
        return self.claim.place

    @property
    def actor(self) -> Actor:
        """Who asked for the job, and in whose name it is done. Whether they may was asked then."""
        return Actor(self.claim.asked_by, self.claim.asked_from)

    def show(self, phase: str, done: int, total: int, **counts: int) -> None:
        """Say how far the work is: what the job's page shows, within about a second. `counts` are shown by name."""
        per_s = round(self._pace.at(phase, done), 1)
        self.progress = {"phase": phase, "done": done, "total": total, "per_s": per_s, "counts": counts}

    async def keep(self, session: AsyncSession, **place: int) -> None:
        """Put on record where to go on from, in the transaction of the work that was done up to there.

        Raises NotOurs when the job was cancelled, or taken over by another worker: the transaction then leaves
        nothing. So no piece of the work is ever recorded twice, whatever is killed.
        """
        await claims.checkpoint(session, self.claim, self.progress, place, self.tools.records.now())

    async def note(self, session: AsyncSession, **place: int) -> None:
        """Do the same for work that the next worker begins anew: workers that die of it are counted on."""
        await claims.note(session, self.claim, self.progress, place, self.tools.records.now())
