"""A record with its projection and uploaded files, and worker processes that a test starts and kills."""

import asyncio
import csv
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import create_engine, text

from admin_web.lists.import_jobs import SheetImport
from admin_web.lists.sheet_store import KeptSheet, SheetStore
from admin_web.record.changes import utc_now
from admin_web.record.database import Database
from admin_web.record.models import Job
from admin_web.services.job_claims import SILENT_S
from admin_web.services.jobs import ask
from compliance.database_url import driven
from lab.process import Process
from lab.redis import RedisServer
from tests.support.programs import Program
from tests.support.projection import World
from tests.support.records import ADMIN


class WorkerStack(World):
    """A record, its projection, uploaded files, and worker processes that a test starts and kills."""

    def __init__(self, database: Database, server: RedisServer, url: str, directory: Path) -> None:
        super().__init__(database, server)
        self.directory = directory
        self.store = SheetStore(directory / "imports", 10_000_000)
        self.environment = {"DNC_DATABASE_URL": url, "DNC_REDIS_URL": server.url, "DNC_DATA_DIR": str(directory)}
        parsed = driven(url)
        self.sql = create_engine(parsed.set(drivername=parsed.drivername.replace("+aiosqlite", "")))
        self.processes: list[Process] = []

    def start(self) -> Process:
        log = self.directory / f"worker-{len(self.processes)}.log"
        self.processes.append(Program("admin_web", ["worker"], log, self.environment))
        return self.processes[-1]

    def scalar(self, statement: str) -> int:
        with self.sql.connect() as connection:
            return int(connection.scalar(text(statement)) or 0)

    def listed(self) -> int:
        return self.scalar("SELECT count(*) FROM suppression_entries")

    async def until(self, holds: Callable[[], bool], within_s: float = 90.0) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            ends = "\n".join(worker.log_end() for worker in self.processes)
            assert time.monotonic() < deadline, f"not true in time; the workers' logs end:\n{ends}"
            await asyncio.sleep(0.01)

    async def sheet(self, kind: str, lines: list[str]) -> KeptSheet:
        async def pieces() -> AsyncIterator[bytes]:
            yield ("\n".join(lines) + "\n").encode()

        return await self.store.keep(pieces(), "list.csv", kind, "admin")

    async def ask(self, kind: str, lines: list[str], **columns: str) -> int:
        asked = SheetImport(await self.sheet(kind, lines), columns)
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
        """Set the job's heartbeat back, so that its worker is considered dead."""
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
