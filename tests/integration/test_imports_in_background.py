"""An import in the background loses no row and records none twice, whatever becomes of the worker."""

import asyncio
import csv
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from admin_web.database import Database
from admin_web.jobs.asking import ask, cancel
from admin_web.jobs.claims import SILENT_S
from admin_web.jobs.imports import LEADS, NUMBERS, Asked
from admin_web.services.records import utc_now
from admin_web.services.suppression import CHUNK
from admin_web.settings import driven
from admin_web.sheet_store import KeptSheet, SheetStore
from compliance.models import Job
from lab.process import Process
from lab.redis import RedisServer
from tests.projecting import World
from tests.records import ADMIN
from tests.whole import python

ROWS = 30_000
"""Enough rows that a worker can be killed in the middle."""

BAD = 1_000
"""Every so many rows there is one that is no number."""


class Yard(World):
    """A record, its projection, uploaded sheets, and workers that are started and killed."""

    def __init__(self, database: Database, server: RedisServer, url: str, directory: Path) -> None:
        super().__init__(database, server)
        self.directory = directory
        self.store = SheetStore(directory / "imports", 10_000_000)
        self.environment = {"DNC_DATABASE_URL": url, "DNC_REDIS_URL": server.url, "DNC_DATA_DIR": str(directory)}
        parsed = driven(url)
        self.sql = create_engine(parsed.set(drivername=parsed.drivername.replace("+aiosqlite", "")))
        self.workers: list[Process] = []

    def start(self) -> Process:
        log = self.directory / f"worker-{len(self.workers)}.log"
        self.workers.append(Process(python("admin_web", "worker"), log, self.environment))
        return self.workers[-1]

    def scalar(self, statement: str) -> int:
        with self.sql.connect() as connection:
            return int(connection.scalar(text(statement)) or 0)

    def listed(self) -> int:
        return self.scalar("SELECT count(*) FROM suppression_entries")

    async def until(self, holds: Callable[[], bool], within_s: float = 90.0) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            ends = "\n".join(worker.log_end() for worker in self.workers)
            assert time.monotonic() < deadline, f"it did not come true; the workers said:\n{ends}"
            await asyncio.sleep(0.01)

    async def sheet(self, kind: str, lines: list[str]) -> KeptSheet:
        async def pieces() -> AsyncIterator[bytes]:
            yield ("\n".join(lines) + "\n").encode()

        return await self.store.keep(pieces(), "list.csv", kind, "admin")

    async def ask(self, kind: str, lines: list[str], **columns: str) -> int:
        asked = Asked(await self.sheet(kind, lines), columns)
        return await ask(self.database, ADMIN, kind, asked.particulars)

    async def job(self, job_id: int) -> Job:
        async with self.database.read() as session:
            job = await session.get(Job, job_id)
        assert job is not None
        return job

    async def until_over(self, job_id: int) -> Job:
        await self.until(lambda: self.scalar(f"SELECT count(*) FROM jobs WHERE id = {job_id} AND outcome <> ''") == 1)
        return await self.job(job_id)

    def age(self, job_id: int) -> None:
        """Let the time pass after which a silent worker is taken for dead."""
        with self.sql.begin() as connection:
            connection.execute(
                text("UPDATE jobs SET beat_at = :then WHERE id = :id"),
                {"then": utc_now() - timedelta(seconds=SILENT_S + 1), "id": job_id},
            )

    async def until_in_force(self) -> None:
        await self.until(lambda: self.scalar("SELECT count(*) FROM outbox WHERE applied_turn IS NULL") == 0)

    def rejected(self, job: Job) -> list[int]:
        with self.store.report(job.particulars["sheet"]["token"]).open(newline="") as file:
            return [int(row["line"]) for row in csv.DictReader(file)]


@pytest.fixture
async def yard(
    database: Database, database_url: str, redis_server: RedisServer, short_path: Path
) -> AsyncIterator[Yard]:
    async with Yard(database, redis_server, database_url, short_path) as yard:
        await yard.projection.rebuild()
        yield yard
        for worker in yard.workers:
            worker.stop()
        yard.sql.dispose()


def numbers(count: int = ROWS) -> list[str]:
    return [f"oops {line}" if line % BAD == 7 else f"+1415{2_000_000 + line * 7:07}" for line in range(count)]


async def test_a_list_is_imported_brought_into_force_and_reported(yard: Yard):
    yard.start()
    job = await yard.until_over(await yard.ask(NUMBERS, ["name,phone", "A,4155550100", "B,oops", "C,4155550101"]))
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
    job = await yard.until_over(await yard.ask(LEADS, lines, lead="2", number="4", name="1"))
    assert job.message == "2 rows: 2 added or changed, 0 so already, 0 rejected; in force."
    with yard.sql.connect() as connection:
        found = connection.execute(text("SELECT id, number, name FROM leads ORDER BY id")).all()
    assert found == [("L-1", "+14155550101", "One"), ("L-2", "+14155550103", "Two")]


async def test_a_worker_killed_in_the_middle_loses_nothing_and_nothing_is_done_twice(
    yard: Yard,
):
    job_id = await yard.ask(NUMBERS, numbers())
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
    job_id = await yard.ask(NUMBERS, numbers(rows))
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
    first, second = await yard.ask(NUMBERS, numbers(5_000)), await yard.ask(NUMBERS, numbers(5_000))
    jobs = [await yard.until_over(first), await yard.until_over(second)]
    assert [job.progress["counts"]["rows"] for job in jobs] == [5_000, 5_000]
    assert sum(job.progress["counts"]["added"] for job in jobs) == yard.listed() == 5_000 - 5


async def test_a_cancelled_import_stops_and_what_it_recorded_stays_and_is_in_force(yard: Yard):
    job_id = await yard.ask(NUMBERS, numbers())
    yard.start()
    await yard.until(lambda: yard.listed() >= 2 * CHUNK)
    await cancel(yard.database, ADMIN, job_id)
    stands = yard.listed()
    await yard.until_in_force()
    assert yard.listed() == stands < ROWS
    assert not yard.gate.allows("+14152000000")
    assert (await yard.job(job_id)).outcome == "cancelled"


async def test_a_sheet_that_is_gone_or_cannot_be_read_fails_the_job_with_a_sentence(yard: Yard):
    gone = await yard.ask(NUMBERS, ["4155550100"])
    for path in yard.store.directory.glob("*.sheet"):
        path.unlink()
    unreadable = await yard.ask(LEADS, ["4155550100"])
    yard.start()
    assert "upload it again" in (await yard.until_over(gone)).message
    job = await yard.until_over(unreadable)
    assert (job.outcome, job.message[:18]) == ("failed", "The first row must")
