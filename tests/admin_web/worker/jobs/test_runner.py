"""A background job runs once, shows its progress, and resumes after a worker was killed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from admin_web.people.permissions import Permission
from admin_web.projection.projection import Projection
from admin_web.record.changes import Records
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.models import AuditEvent, Job
from admin_web.services import job_claims as claims
from admin_web.services.job_claims import MOST_TRIES, SILENT_S, Claim, NotOurs
from admin_web.services.job_kinds import JOB_KINDS, JobKind
from admin_web.services.jobs import JobOver, JobUnderWay, UnknownJob, ask, cancel
from admin_web.settings import AdminSettings
from admin_web.worker.jobs.run import JobFailed, Run, Tools
from admin_web.worker.jobs.runner import DEADLY, FAULT, POLL_S, Runner
from compliance.refusal import NotPermitted
from tests.support.records import ADMIN, SUPERVISOR, Clock, rows

Work = Callable[[Run], Awaitable[str]]


async def count_to_three(run: Run) -> str:
    """Record one audit event for each step, and the checkpoint in the same transaction."""
    for step in range(run.place.get("step", 0), 3):
        run.show("steps", step + 1, 3)
        async with run.tools.records.change(run.actor) as change:
            change.audit("step", "test", step)
            await run.keep(change.session, step=step + 1)
    return "Counted to 3."


class Shop:
    """A record, and workers with one kind of job, `test`."""

    def __init__(self, records: Records, settings: AdminSettings, patch: pytest.MonkeyPatch) -> None:
        self.records, self._patch = records, patch
        self.tools = Tools(records, Projection(records.database, settings), settings)

    def runner(self, work: Work = count_to_three, name: str = "worker-1", *, alone: bool = False) -> Runner:
        kind = JobKind("test", "Count", Permission.IMPORT, alone=alone)
        self._patch.setitem(JOB_KINDS, "test", kind)
        return Runner(kind, work, self.tools, name)

    async def ask(self) -> int:
        return await ask(self.records.database, ADMIN, "test", {"to": 3}, now=self.records.now)

    async def job(self) -> Job:
        return (await rows(self.records, Job))[-1]

    async def steps(self) -> list[str]:
        return [event.subject_id for event in await rows(self.records, AuditEvent) if event.action == "step"]


@pytest.fixture
def shop(records: Records, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(records, AdminSettings(data_dir=tmp_path), monkeypatch)


async def cut_off(runner: Runner, begun: asyncio.Event) -> None:
    """Cancel a worker in the middle of its work."""
    step = asyncio.create_task(runner.step())
    await begun.wait()
    step.cancel()
    with suppress(asyncio.CancelledError):
        await step


async def test_a_job_is_carried_out_and_ends_with_a_sentence_and_an_audit_event(shop: Shop):
    runner = shop.runner()
    job_id = await shop.ask()
    assert await runner.step() == 0
    job = await shop.job()
    assert (job.outcome, job.message, job.ended_at) == ("done", "Counted to 3.", shop.records.now())
    assert (job.progress["phase"], job.progress["done"], job.progress["total"]) == ("steps", 3, 3)
    told = [(event.action, event.subject_id, event.done_by) for event in await rows(shop.records, AuditEvent)]
    steps = [("step", str(step), "admin") for step in range(3)]
    assert told == [("ask-job", str(job_id), "admin"), *steps, ("end-job", str(job_id), "admin")]
    assert await runner.step() == POLL_S


async def test_two_workers_share_the_jobs_and_do_none_twice(shop: Shop):
    first, second = shop.runner(), shop.runner(name="worker-2")
    for _ in range(6):
        await shop.ask()

    async def work(runner: Runner) -> None:
        while await runner.step() == 0:
            continue

    await asyncio.gather(work(first), work(second))
    assert len(await shop.steps()) == 6 * 3
    assert {job.outcome for job in await rows(shop.records, Job)} == {"done"}


async def test_a_worker_that_is_stopped_lets_its_job_go_and_the_next_goes_on_from_its_place(shop: Shop):
    begun = asyncio.Event()

    async def stuck_at_two(run: Run) -> str:
        async with run.tools.records.change(run.actor) as change:
            change.audit("step", "test", 0)
            await run.keep(change.session, step=1)
        begun.set()
        return await asyncio.Event().wait() and ""

    runner = shop.runner(stuck_at_two)
    await shop.ask()
    await cut_off(runner, begun)
    assert ((await shop.job()).claimed_by, (await shop.job()).outcome) == (None, "")
    await shop.runner(name="worker-2").step()
    assert await shop.steps() == ["0", "1", "2"]
    assert (await shop.job()).outcome == "done"


async def dead_claim(shop: Shop, name: str = "dead") -> Claim:
    """Claim the job as a worker that dies afterwards."""
    async with shop.records.database.write() as session:
        claim = await claims.claim(session, "test", name, shop.records.now())
    assert claim is not None
    return claim


async def test_a_job_is_taken_over_when_its_worker_was_silent_for_too_long_and_not_before(shop: Shop, clock: Clock):
    runner = shop.runner()
    await shop.ask()
    await dead_claim(shop)
    clock.move(seconds=SILENT_S)
    assert await runner.step() == POLL_S
    clock.move(seconds=0.1)
    assert await runner.step() == 0
    assert (await shop.job()).outcome == "done"


async def test_a_worker_that_was_taken_for_dead_records_nothing_any_more(shop: Shop, clock: Clock):
    runner = shop.runner()
    await shop.ask()
    run = Run(await dead_claim(shop), shop.tools)
    clock.move(seconds=SILENT_S + 1)
    await runner.step()
    with pytest.raises(NotOurs):
        await count_to_three(run)
    assert await shop.steps() == ["0", "1", "2"]


async def test_of_two_workers_at_one_job_only_the_one_that_took_it_over_records(shop: Shop, clock: Clock):
    runner = shop.runner()
    await shop.ask()
    first = Run(await dead_claim(shop), shop.tools)
    clock.move(seconds=SILENT_S + 1)
    second = Run(await dead_claim(shop, "second"), shop.tools)
    with pytest.raises(NotOurs):
        await count_to_three(first)
    assert await shop.steps() == []
    await count_to_three(second)
    assert await shop.steps() == ["0", "1", "2"]
    assert await runner.step() == POLL_S


async def test_a_cancelled_job_records_nothing_any_more_and_is_stopped(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(claims, "BEAT_S", 0.05)
    stopped = asyncio.Event()

    async def endless(run: Run) -> str:
        try:
            await cancel(run.tools.records.database, ADMIN, run.claim.id, now=run.tools.records.now)
            with pytest.raises(NotOurs):
                await count_to_three(run)
            return await asyncio.Event().wait() and ""
        finally:
            stopped.set()

    runner = shop.runner(endless)
    await shop.ask()
    assert await asyncio.wait_for(runner.step(), 60) == 0
    assert stopped.is_set()
    job = await shop.job()
    assert (job.outcome, job.message) == ("cancelled", "Cancelled by admin. What it recorded stays.")
    assert await shop.steps() == []
    assert await runner.step() == POLL_S


async def test_a_waiting_job_can_be_cancelled_once(shop: Shop):
    runner = shop.runner()
    job_id = await shop.ask()
    await cancel(shop.records.database, ADMIN, job_id)
    assert await runner.step() == POLL_S
    with pytest.raises(JobOver, match="cancelled"):
        await cancel(shop.records.database, ADMIN, job_id)
    with pytest.raises(UnknownJob):
        await cancel(shop.records.database, ADMIN, job_id + 1)


async def test_who_may_not_ask_may_not_cancel_either(shop: Shop):
    shop.runner()
    with pytest.raises(NotPermitted, match="Count"):
        await ask(shop.records.database, SUPERVISOR, "test")
    with pytest.raises(NotPermitted, match="Count"):
        await cancel(shop.records.database, SUPERVISOR, await shop.ask())
    assert (await shop.job()).outcome == ""


async def test_of_a_kind_that_stands_alone_there_is_one_open_job(shop: Shop):
    runner = shop.runner(alone=True)
    job_id = await shop.ask()
    with pytest.raises(JobUnderWay, match="Count") as refused:
        await shop.ask()
    assert refused.value.job_id == job_id
    await runner.step()
    await shop.ask()


async def fails(run: Run) -> str:
    raise JobFailed("There is nothing to count.")


async def breaks(run: Run) -> str:
    raise ZeroDivisionError


@pytest.mark.parametrize(("work", "message"), [(fails, "There is nothing to count."), (breaks, FAULT)])
async def test_a_job_that_fails_says_why(shop: Shop, work: Work, message: str):
    runner = shop.runner(work)
    await shop.ask()
    assert await runner.step() == 0
    assert ((await shop.job()).outcome, (await shop.job()).message) == ("failed", message)
    assert await runner.step() == POLL_S


async def test_a_job_that_meets_a_database_that_is_away_is_gone_on_with_by_the_same_worker(shop: Shop):
    met = 0

    async def unlucky_once(run: Run) -> str:
        nonlocal met
        met += 1
        if met == 1:
            raise DatabaseUnavailable("away")
        return await count_to_three(run)

    runner = shop.runner(unlucky_once)
    await shop.ask()
    with pytest.raises(DatabaseUnavailable):
        await runner.step()
    assert await runner.step() == 0
    assert ((await shop.job()).outcome, await shop.steps()) == ("done", ["0", "1", "2"])


async def test_a_job_that_kills_every_worker_is_given_up(shop: Shop, clock: Clock):
    runner = shop.runner(name="last")
    await shop.ask()
    for number in range(MOST_TRIES):
        await dead_claim(shop, f"dead-{number}")
        clock.move(seconds=SILENT_S + 1)
    await runner.step()
    assert ((await shop.job()).outcome, (await shop.job()).message) == ("failed", DEADLY)
    assert await shop.steps() == []


async def test_a_job_that_gets_on_may_lose_any_number_of_workers(shop: Shop, clock: Clock):
    runner = shop.runner(name="last")
    await shop.ask()
    for number in range(MOST_TRIES + 2):
        claim = await dead_claim(shop, f"dead-{number}")
        async with shop.records.database.write() as session:
            await Run(claim, shop.tools).keep(session, step=1)
        clock.move(seconds=SILENT_S + 1)
    await runner.step()
    assert ((await shop.job()).outcome, await shop.steps()) == ("done", ["1", "2"])


async def test_a_job_that_goes_on_for_long_beats_and_shows_how_far_it_is(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(claims, "BEAT_S", 0.02)

    async def slow(run: Run) -> str:
        run.show("sleeping", 1, 2)
        clock.move(seconds=SILENT_S)
        async with asyncio.timeout(60):
            while (await shop.job()).beat_at != clock.at:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.01)
        return "Slept."

    runner = shop.runner(slow)
    job_id = await shop.ask()
    await runner.step()
    job = await shop.job()
    assert (job.id, job.progress["phase"], job.message) == (job_id, "sleeping", "Slept.")


async def test_a_job_whose_worker_died_with_a_fast_clock_is_taken_over_too(shop: Shop, clock: Clock):
    runner = shop.runner()
    await shop.ask()
    clock.move(days=2)
    await dead_claim(shop)
    clock.move(days=-2)
    assert await runner.step() == 0
    assert (await shop.job()).outcome == "done"


async def test_a_worker_whose_clock_is_wrong_takes_over_no_job_and_carries_out_new_ones(shop: Shop, clock: Clock):
    runner = shop.runner()
    runner._clock_right = lambda: False
    await shop.ask()
    await dead_claim(shop)
    clock.move(days=2)
    assert await runner.step() == POLL_S
    runner._clock_right = lambda: True
    assert await runner.step() == 0
    runner._clock_right = lambda: False
    await shop.ask()
    assert await runner.step() == 0
    assert (await shop.job()).outcome == "done"
