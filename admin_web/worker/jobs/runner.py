"""The runner in the worker: it claims jobs of one kind, one at a time, and carries them out."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from admin_web.lists.sheet import NotASheet
from admin_web.projection.rebuild_outcome import NotRebuilt
from admin_web.record.changes import NotInForce, changing, public_words
from admin_web.record.database import DatabaseUnavailable
from admin_web.services import job_claims as claims
from admin_web.services.job_claims import Claim, NotOurs
from admin_web.services.job_kinds import JobKind
from admin_web.worker.jobs.run import JobFailed, Run, Tools
from admin_web.worker.jobs.work import Work
from compliance.refusal import Refused

POLL_S = 1.0
"""Job polling interval, in seconds."""

EXPECTED_FAILURES = (JobFailed, Refused, NotASheet, NotInForce, NotRebuilt, OSError)
"""Failures that end a job, each with a message for the person who requested it. If the database is unavailable, the job
does not end but is resumed later.
"""

FAULT = "The worker failed because of a bug; its log says where. Everything recorded so far stays."
DEADLY = (
    f"The worker died {claims.MOST_TRIES} times in a row during this job; its log may say why. "
    "Everything recorded so far stays."
)

log = structlog.get_logger()


class Runner:
    """Carries out the jobs of one kind in the worker named `worker`.

    While the clock is not right, it does not take over the jobs of workers that seem to be dead.
    """

    def __init__(
        self, kind: JobKind, work: Work, tools: Tools, worker: str, clock_right: Callable[[], bool] = lambda: True
    ) -> None:
        self._kind, self._work, self._tools, self._worker = kind, work, tools, worker
        self._clock_right = clock_right

    async def step(self) -> float:
        """Carry out the next job, if there is one. Return the seconds to wait. Raises DatabaseUnavailable.

        Cancelling this coroutine releases the job; the next worker resumes it.
        """
        claim = await self._claim()
        if claim is None:
            return POLL_S
        run = Run(claim, self._tools)
        log.info("job begins", job=claim.id, kind=claim.kind, tries=claim.tries)
        if claim.tries > claims.MOST_TRIES:
            await self._end(run, claims.FAILED, DEADLY)
        else:
            await self._carry_out(run)
        return 0.0

    async def _claim(self) -> Claim | None:
        database, at, right = self._tools.records.database, self._tools.records.now(), self._clock_right()
        # Usually there is no job. Polling only reads, so that it does not delay other writers.
        async with database.read() as session:
            if not await claims.is_any(session, self._kind.name, self._worker, at, right_clock=right):
                return None
        async with database.write() as session:
            return await claims.claim(session, self._kind.name, self._worker, at, right_clock=right)

    async def _carry_out(self, run: Run) -> None:
        work = asyncio.ensure_future(self._work(run))
        beating = asyncio.create_task(self._beat(run))
        try:
            await asyncio.wait({work, beating}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = work.done()
            await _stop(work, beating)
            if not ended:
                await self._let_go(run)
        if ended:
            await self._conclude(run, work)

    async def _beat(self, run: Run) -> None:
        """Send heartbeats until the job no longer belongs to this worker."""
        while True:
            await asyncio.sleep(claims.BEAT_S)
            try:
                async with self._tools.records.database.write() as session:
                    await claims.beat(session, run.claim, run.progress, self._tools.records.now())
            except DatabaseUnavailable as error:
                log.warning("job cannot be shown", job=run.claim.id, trouble=str(error))
            except NotOurs as error:
                log.info("job is let go", job=run.claim.id, why=str(error))
                return

    async def _let_go(self, run: Run) -> None:
        with suppress(DatabaseUnavailable, NotOurs):
            async with self._tools.records.database.write() as session:
                await claims.release(session, run.claim, run.progress)

    async def _conclude(self, run: Run, work: "asyncio.Future[str]") -> None:
        """Record how the work ended. Raises DatabaseUnavailable; the job is then resumed."""
        try:
            outcome, message = claims.DONE, work.result()
        except (DatabaseUnavailable, asyncio.CancelledError):
            raise
        except NotOurs:
            return
        except EXPECTED_FAILURES as error:
            outcome, message = claims.FAILED, public_words(error)
            log.warning("job failed", job=run.claim.id, kind=run.claim.kind, why=str(error))
        except Exception:
            log.exception("job failed", job=run.claim.id, kind=run.claim.kind)
            outcome, message = claims.FAILED, FAULT
        await self._end(run, outcome, message)

    async def _end(self, run: Run, outcome: str, message: str) -> None:
        records = self._tools.records
        with suppress(NotOurs):
            async with changing(records.database, run.actor, records.now) as change:
                await claims.end(change, run.claim, run.progress, outcome, message)
            log.info("job ended", job=run.claim.id, kind=run.claim.kind, outcome=outcome, message=message)


async def _stop(*tasks: "asyncio.Future[object] | asyncio.Future[str] | asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
