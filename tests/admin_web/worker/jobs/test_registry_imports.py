"""Killing the import of a registry (kill -9) does no harm, in the background and in the shell."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from admin_web.lists.registries.import_jobs import RegistryImport, ask_import
from admin_web.lists.registries.version_request import FULL
from admin_web.lists.sheet_store import KeptSheet
from admin_web.services.job_kinds import IMPORT_REGISTRY
from admin_web.services.jobs import cancel
from admin_web.services.registries import EditedTerms, add_registry
from lab.process import Process
from tests.support.programs import Program
from tests.support.records import ADMIN
from tests.support.registries import in_force, take
from tests.support.workers import WorkerStack

EXCHANGES = 60_000
"""Enough transactions that the import can be killed in the middle."""

OLD = "+12025550101"
FREE = "+12025550199"
REPORTED = 3


@pytest.fixture
async def large(workers: WorkerStack, tmp_path: Path) -> Path:
    """A file of one number in each of many exchanges. The registry's version in force lists `OLD`."""
    await add_registry(workers.records, ADMIN, "us-ftc", "", EditedTerms())
    small = tmp_path / "small.txt"
    small.write_text("202,5550101\n")
    await take(workers.records, "us-ftc", small)
    await workers.projection.follow()
    path = tmp_path / "large.txt"
    path.write_text("".join(f"{area},{exchange}0101\n" for area, exchange in exchanges()) + "111,0\n" * REPORTED)
    return path


def exchanges() -> list[tuple[int, int]]:
    areas = [area for area in range(300, 1000) if area % 100 != 11]
    return [(area, exchange) for area in areas[: EXCHANGES // 600] for exchange in range(200, 800)]


def written(workers: WorkerStack) -> int:
    return workers.scalar("SELECT count(*) FROM registry_exchanges")


def wholes(workers: WorkerStack) -> int:
    return workers.scalar("SELECT count(*) FROM registry_versions WHERE whole_at IS NOT NULL")


async def asked(workers: WorkerStack, path: Path) -> int:
    async def pieces() -> AsyncIterator[bytes]:
        yield await asyncio.to_thread(path.read_bytes)

    sheet: KeptSheet = await workers.store.keep(pieces(), path.name, IMPORT_REGISTRY.name, "admin", "us-ftc")
    over = workers.scalar("SELECT version_in_force_id FROM registries")
    return await ask_import(workers.database, ADMIN, RegistryImport(sheet, FULL, date(2026, 2, 1), over))


async def killed(workers: WorkerStack, process: Process, beyond: int) -> None:
    """Kill the import after `beyond` exchanges, and assert that the version in force is unchanged."""
    await workers.until(lambda: written(workers) >= beyond)
    process.kill()
    assert wholes(workers) == 1
    assert await in_force(workers.records, "us-ftc") == [OLD]
    assert (workers.gate.allows(OLD), workers.gate.allows(FREE)) == (False, True)


async def test_a_worker_killed_in_the_middle_of_a_registry_leaves_the_version_before_and_the_next_begins_anew(
    workers: WorkerStack, large: Path
):
    job_id = await asked(workers, large)
    for beyond in (4_000, 20_000):
        await killed(workers, workers.start(), beyond)
        assert (await workers.job(job_id)).outcome == ""
        workers.age(job_id)
    workers.start()
    job = await workers.until_over(job_id)
    assert job.tries == 3  # Each worker that dies counts as a try, whatever its progress.
    rows = EXCHANGES + REPORTED
    changed = f"{EXCHANGES:,} added and 1 removed since the previous version"
    said = f"{EXCHANGES:,} numbers, {changed}; {rows:,} rows, {REPORTED} rejected"
    assert job.message == f"Version 4 of us-ftc: {said}; in force."
    assert workers.rejected(job) == [EXCHANGES + place for place in range(1, REPORTED + 1)]
    assert len(await in_force(workers.records, "us-ftc")) == EXCHANGES
    assert (wholes(workers), written(workers)) == (2, EXCHANGES + 1)
    assert (workers.gate.allows(OLD), workers.gate.allows("+13002000101")) == (True, False)
    assert [path.name[32:] for path in workers.store.directory.iterdir()] == [".rejected.csv"]
    assert (await workers.projection.verify()).clean


async def test_a_worker_killed_after_the_version_is_whole_imports_nothing_twice(workers: WorkerStack, large: Path):
    job_id = await asked(workers, large)
    worker = workers.start()
    await workers.until(lambda: wholes(workers) == 2)
    worker.kill()
    workers.age(job_id)
    workers.start()
    job = await workers.until_over(job_id)
    assert (job.outcome, job.message.split(":")[0]) == ("done", "Version 2 of us-ftc")
    assert (wholes(workers), workers.scalar("SELECT count(*) FROM registry_versions")) == (2, 2)
    assert not workers.gate.allows("+13002000101")


async def test_a_cancelled_import_stops_and_is_swept_away(workers: WorkerStack, large: Path):
    job_id = await asked(workers, large)
    workers.start()
    await workers.until(lambda: written(workers) >= 4_000)
    await cancel(workers.database, ADMIN, job_id)
    await workers.until(lambda: workers.scalar("SELECT claimed_by IS NOT NULL FROM jobs") == 1)
    workers.processes[-1].stop()
    workers.start()  # A worker sweeps at its start, and then from time to time.
    await workers.until(lambda: written(workers) == 1)
    assert (wholes(workers), workers.gate.allows(OLD)) == (1, False)


async def test_an_import_at_the_shell_is_killed_and_run_again(workers: WorkerStack, large: Path, tmp_path: Path):
    words = ["import", "us-ftc", str(large), "--obtained", "2026-02-01"]
    for beyond in (4_000, 20_000):
        await killed(workers, Program("admin_web", words, tmp_path / "import.log", workers.environment), beyond)
    ended = Program("admin_web", words, tmp_path / "import.log", workers.environment)
    assert ended.wait(120) == 1, ended.log_end()  # Some rows were rejected.
    assert f"us-ftc version 4: {EXCHANGES:,} numbers" in ended.log_end()
    assert len(await in_force(workers.records, "us-ftc")) == EXCHANGES
    assert (wholes(workers), written(workers)) == (2, EXCHANGES + 1)
    assert not workers.gate.allows("+13002000101")
    assert (await workers.projection.verify()).clean


async def test_a_redis_that_could_not_hold_a_registry_refuses_its_import_before_it_begins(
    workers: WorkerStack, tmp_path: Path
):
    await add_registry(workers.records, ADMIN, "us-ftc", "", EditedTerms())
    small = tmp_path / "small.txt"
    small.write_text("202,5550101\n")
    workers.redis.config_set("set-max-intset-entries", "512")
    workers.redis.acl_setuser("default", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config|set"])
    job_id = await asked(workers, small)
    workers.start()
    job = await workers.until_over(job_id)
    assert job.outcome == "failed"
    assert "set-max-intset-entries to 10000, not 512" in job.message
    shell = Program("admin_web", ["import", "us-ftc", str(small)], tmp_path / "import.log", workers.environment)
    assert shell.wait(60) == 2
    assert "set-max-intset-entries to 10000, not 512" in shell.log_end()
    assert written(workers) == 0
