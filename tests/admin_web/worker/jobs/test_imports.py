"""An import in the background loses no row and records none twice, even if the worker dies or stops."""

from sqlalchemy import text

from admin_web.services.importing import ENTRIES_AT_ONCE
from admin_web.services.job_kinds import IMPORT_LEADS, IMPORT_NUMBERS
from admin_web.services.jobs import cancel
from tests.support.records import ADMIN
from tests.support.workers import WorkerStack

ROWS = 120_000
"""Enough rows that a worker can be killed in the middle, in the first window of rows and in the second one."""

BAD = 1_000
"""After this many rows, there is one without a valid number."""


def numbers(count: int = ROWS) -> list[str]:
    return [f"oops {line}" if line % BAD == 7 else f"+1415{2_000_000 + line * 7:07}" for line in range(count)]


async def test_a_list_is_imported_brought_into_force_and_reported(workers: WorkerStack):
    workers.start()
    job = await workers.until_over(
        await workers.ask(IMPORT_NUMBERS.name, ["name,phone", "A,4155550100", "B,oops", "C,4155550101"])
    )
    assert (job.outcome, job.message) == (
        "done",
        "3 rows: 2 added to the list, 0 already listed, 1 rejected; in force.",
    )
    assert not workers.gate.allows("+14155550100")
    assert workers.rejected(job) == [3]
    assert job.progress["counts"] == {
        "rows": 3, "added to the list": 2, "already listed": 0, "rejected": 1,
    }  # fmt: skip
    assert (
        workers.scalar("SELECT count(*) FROM suppression_entries WHERE added_by = 'admin' AND source = 'import'") == 2
    )


async def test_leads_are_imported_by_the_columns_that_were_chosen(workers: WorkerStack):
    workers.start()
    lines = ["who,id,home,work", "One,L-1,4155550100,4155550101", "Two,L-2,4155550102,4155550103"]
    job = await workers.until_over(await workers.ask(IMPORT_LEADS.name, lines, lead="2", number="4", name="1"))
    counted = "2 rows: 2 added or changed, 0 unchanged, 0 rejected; in force."
    assert job.message == f"{counted} Column 3 'home' contains numbers and is not read."
    with workers.sql.connect() as connection:
        found = connection.execute(text("SELECT id, number, name FROM leads ORDER BY id")).all()
    assert found == [("L-1", "+14155550101", "One"), ("L-2", "+14155550103", "Two")]


async def test_a_worker_killed_in_the_middle_loses_nothing_and_nothing_is_done_twice(
    workers: WorkerStack,
):
    job_id = await workers.ask(IMPORT_NUMBERS.name, numbers())
    for chunks in (3, 9, 15, 21):
        worker = workers.start()
        await workers.until(lambda wanted=chunks * ENTRIES_AT_ONCE: workers.listed() >= wanted)
        worker.kill()
        assert (await workers.job(job_id)).outcome == ""
        workers.age(job_id)
    workers.start()
    job = await workers.until_over(job_id)
    good = ROWS - ROWS // BAD
    counted = f"{good:,} added to the list, 0 already listed, {ROWS // BAD} rejected"
    assert job.message == f"{ROWS:,} rows: {counted}; in force."
    assert workers.listed() == good
    assert workers.scalar("SELECT count(*) FROM audit_events WHERE action = 'import-numbers'") == 1
    assert workers.rejected(job) == [line + 1 for line in range(ROWS) if line % BAD == 7]
    compared = await workers.projection.verify()
    assert (compared.clean, compared.numbers) == (True, good), compared


async def test_a_worker_that_is_told_to_stop_leaves_the_import_to_the_next_at_once(workers: WorkerStack):
    rows = 2 * ROWS  # Enough that the import is still running when the worker stops.
    job_id = await workers.ask(IMPORT_NUMBERS.name, numbers(rows))
    worker = workers.start()
    await workers.until(lambda: workers.listed() >= 2 * ENTRIES_AT_ONCE)
    worker.stop()
    assert (await workers.job(job_id)).claimed_by is None, "any worker may claim it from now on"
    workers.start()
    await workers.until(lambda: workers.scalar("SELECT count(*) FROM jobs WHERE claimed_by IS NOT NULL") == 1)
    job = await workers.until_over(job_id)
    assert job.progress["counts"]["added to the list"] == workers.listed() == rows - rows // BAD


async def test_two_workers_share_two_imports_of_one_list_and_make_one_entry_per_number(workers: WorkerStack):
    workers.start()
    workers.start()
    first, second = (
        await workers.ask(IMPORT_NUMBERS.name, numbers(5_000)),
        await workers.ask(IMPORT_NUMBERS.name, numbers(5_000)),
    )
    jobs = [await workers.until_over(first), await workers.until_over(second)]
    assert [job.progress["counts"]["rows"] for job in jobs] == [5_000, 5_000]
    assert sum(job.progress["counts"]["added to the list"] for job in jobs) == workers.listed() == 5_000 - 5


async def test_a_cancelled_import_stops_and_what_it_recorded_stays_and_is_in_force(workers: WorkerStack):
    job_id = await workers.ask(IMPORT_NUMBERS.name, numbers())
    workers.start()
    await workers.until(lambda: workers.listed() >= 2 * ENTRIES_AT_ONCE)
    await cancel(workers.database, ADMIN, job_id)
    stands = workers.listed()
    await workers.until_in_force()
    assert workers.listed() == stands < ROWS
    assert not workers.gate.allows("+14152000000")
    assert (await workers.job(job_id)).outcome == "cancelled"


async def test_a_sheet_that_is_gone_or_cannot_be_read_fails_the_job_with_a_sentence(workers: WorkerStack):
    gone = await workers.ask(IMPORT_NUMBERS.name, ["4155550100"])
    for path in workers.store.directory.glob("*.sheet"):
        path.unlink()
    unreadable = await workers.ask(IMPORT_LEADS.name, ["4155550100"])
    workers.start()
    assert "upload it again" in (await workers.until_over(gone)).message
    job = await workers.until_over(unreadable)
    assert (job.outcome, job.message[:18]) == ("failed", "The first row must")
