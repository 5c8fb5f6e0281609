"""An import in the background loses no row and records none twice, whatever becomes of the worker."""

import time

from sqlalchemy import text

from admin_web.services.job_claims import SILENT_S
from admin_web.services.job_kinds import IMPORT_LEADS, IMPORT_NUMBERS
from admin_web.services.jobs import cancel
from admin_web.services.suppression import CHUNK
from tests.records import ADMIN
from tests.yard import Yard

ROWS = 30_000
"""Enough rows that a worker can be killed in the middle."""

BAD = 1_000
"""Every so many rows there is one that is no number."""


def numbers(count: int = ROWS) -> list[str]:
    return [f"oops {line}" if line % BAD == 7 else f"+1415{2_000_000 + line * 7:07}" for line in range(count)]


async def test_a_list_is_imported_brought_into_force_and_reported(yard: Yard):
    yard.start()
    job = await yard.until_over(
        await yard.ask(IMPORT_NUMBERS.name, ["name,phone", "A,4155550100", "B,oops", "C,4155550101"])
    )
    assert (job.outcome, job.message) == (
        "done",
        "3 rows: 2 put on the list, 0 there already, 1 rejected; in force.",
    )
    assert not yard.gate.allows("+14155550100")
    assert yard.rejected(job) == [3]
    assert job.progress["counts"] == {"rows": 3, "added": 2, "already": 0, "rejected": 1}
    assert yard.scalar("SELECT count(*) FROM suppression_entries WHERE added_by = 'admin' AND source = 'import'") == 2


async def test_leads_are_imported_by_the_columns_that_were_chosen(yard: Yard):
    yard.start()
    lines = ["who,id,home,work", "One,L-1,4155550100,4155550101", "Two,L-2,4155550102,4155550103"]
    job = await yard.until_over(await yard.ask(IMPORT_LEADS.name, lines, lead="2", number="4", name="1"))
    assert job.message == "2 rows: 2 added or changed, 0 so already, 0 rejected; in force."
    with yard.sql.connect() as connection:
        found = connection.execute(text("SELECT id, number, name FROM leads ORDER BY id")).all()
    assert found == [("L-1", "+14155550101", "One"), ("L-2", "+14155550103", "Two")]


async def test_a_worker_killed_in_the_middle_loses_nothing_and_nothing_is_done_twice(
    yard: Yard,
):
    job_id = await yard.ask(IMPORT_NUMBERS.name, numbers())
    for chunks in (3, 9, 15):
        worker = yard.start()
        await yard.until(lambda wanted=chunks * CHUNK: yard.listed() >= wanted)
        worker.kill()
        assert (await yard.job(job_id)).outcome == ""
        yard.age(job_id)
    yard.start()
    job = await yard.until_over(job_id)
    good = ROWS - ROWS // BAD
    assert job.message == f"{ROWS:,} rows: {good:,} put on the list, 0 there already, {ROWS // BAD} rejected; in force."
    assert yard.listed() == good
    assert yard.scalar("SELECT count(*) FROM audit_events WHERE action = 'suppress'") == ROWS // CHUNK
    assert yard.rejected(job) == [line + 1 for line in range(ROWS) if line % BAD == 7]
    compared = await yard.projection.verify()
    assert (compared.clean, compared.numbers) == (True, good), compared


async def test_a_worker_that_is_told_to_stop_leaves_the_import_to_the_next_at_once(yard: Yard):
    rows = 3 * ROWS  # It must not be over before the worker has stopped.
    job_id = await yard.ask(IMPORT_NUMBERS.name, numbers(rows))
    worker = yard.start()
    await yard.until(lambda: yard.listed() >= 2 * CHUNK)
    worker.stop()
    assert (await yard.job(job_id)).claimed_by is None
    began = time.monotonic()
    yard.start()
    await yard.until(lambda: yard.scalar("SELECT count(*) FROM jobs WHERE claimed_by IS NOT NULL") == 1)
    assert time.monotonic() - began < SILENT_S
    job = await yard.until_over(job_id)
    assert job.progress["counts"]["added"] == yard.listed() == rows - rows // BAD


async def test_two_workers_share_two_imports_of_one_list_and_make_one_entry_per_number(yard: Yard):
    yard.start()
    yard.start()
    first, second = (
        await yard.ask(IMPORT_NUMBERS.name, numbers(5_000)),
        await yard.ask(IMPORT_NUMBERS.name, numbers(5_000)),
    )
    jobs = [await yard.until_over(first), await yard.until_over(second)]
    assert [job.progress["counts"]["rows"] for job in jobs] == [5_000, 5_000]
    assert sum(job.progress["counts"]["added"] for job in jobs) == yard.listed() == 5_000 - 5


async def test_a_cancelled_import_stops_and_what_it_recorded_stays_and_is_in_force(yard: Yard):
    job_id = await yard.ask(IMPORT_NUMBERS.name, numbers())
    yard.start()
    await yard.until(lambda: yard.listed() >= 2 * CHUNK)
    await cancel(yard.database, ADMIN, job_id)
    stands = yard.listed()
    await yard.until_in_force()
    assert yard.listed() == stands < ROWS
    assert not yard.gate.allows("+14152000000")
    assert (await yard.job(job_id)).outcome == "cancelled"


async def test_a_sheet_that_is_gone_or_cannot_be_read_fails_the_job_with_a_sentence(yard: Yard):
    gone = await yard.ask(IMPORT_NUMBERS.name, ["4155550100"])
    for path in yard.store.directory.glob("*.sheet"):
        path.unlink()
    unreadable = await yard.ask(IMPORT_LEADS.name, ["4155550100"])
    yard.start()
    assert "upload it again" in (await yard.until_over(gone)).message
    job = await yard.until_over(unreadable)
    assert (job.outcome, job.message[:18]) == ("failed", "The first row must")
