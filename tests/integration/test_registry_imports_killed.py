"""An import of a registry that is killed (kill -9) harms nothing, in the background and at the shell."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from admin_web.lists.registries.import_jobs import RegistryImport, ask_import
from admin_web.lists.registries.intake import FULL
from admin_web.lists.sheet_store import KeptSheet
from admin_web.services.job_kinds import IMPORT_REGISTRY
from admin_web.services.jobs import cancel
from admin_web.services.registries import EditedTerms, add_registry
from lab.process import Process
from tests.nursery import Program
from tests.records import ADMIN
from tests.registries import in_force, take
from tests.yard import Yard

EXCHANGES = 60_000
"""Enough transactions that whoever imports can be killed in the middle."""

OLD = "+12025550101"
FREE = "+12025550199"
REPORTED = 3


@pytest.fixture
async def large(yard: Yard, tmp_path: Path) -> Path:
    """A file of one number in each of many exchanges, beside a registry whose version in force lists `OLD`."""
    await add_registry(yard.records, ADMIN, "us-ftc", "", EditedTerms())
    small = tmp_path / "small.txt"
    small.write_text("202,5550101\n")
    await take(yard.records, "us-ftc", small)
    await yard.projection.follow()
    path = tmp_path / "large.txt"
    path.write_text("".join(f"{area},{exchange}0101\n" for area, exchange in exchanges()) + "111,0\n" * REPORTED)
    return path


def exchanges() -> list[tuple[int, int]]:
    areas = [area for area in range(300, 1000) if area % 100 != 11]
    return [(area, exchange) for area in areas[: EXCHANGES // 600] for exchange in range(200, 800)]


def written(yard: Yard) -> int:
    return yard.scalar("SELECT count(*) FROM registry_exchanges")


def wholes(yard: Yard) -> int:
    return yard.scalar("SELECT count(*) FROM registry_versions WHERE whole_at IS NOT NULL")


async def asked(yard: Yard, path: Path) -> int:
    async def pieces() -> AsyncIterator[bytes]:
        yield await asyncio.to_thread(path.read_bytes)

    sheet: KeptSheet = await yard.store.keep(pieces(), path.name, IMPORT_REGISTRY.name, "admin", "us-ftc")
    over = yard.scalar("SELECT version_in_force_id FROM registries")
    return await ask_import(yard.database, ADMIN, RegistryImport(sheet, FULL, date(2026, 2, 1), over))


async def killed(yard: Yard, process: Process, beyond: int) -> None:
    """Kill it when it has written so many exchanges, and see that nothing came of it."""
    await yard.until(lambda: written(yard) >= beyond)
    process.kill()
    assert wholes(yard) == 1
    assert await in_force(yard.records, "us-ftc") == [OLD]
    assert (yard.gate.allows(OLD), yard.gate.allows(FREE)) == (False, True)


async def test_a_worker_killed_in_the_middle_of_a_registry_leaves_the_version_before_and_the_next_begins_anew(
    yard: Yard, large: Path
):
    job_id = await asked(yard, large)
    for beyond in (4_000, 20_000):
        await killed(yard, yard.start(), beyond)
        assert (await yard.job(job_id)).outcome == ""
        yard.age(job_id)
    yard.start()
    job = await yard.until_over(job_id)
    assert job.tries == 3  # Workers that die of it are counted, however far they came.
    rows = EXCHANGES + REPORTED
    said = f"{EXCHANGES:,} numbers, {EXCHANGES:,} more and 1 fewer than before; {rows:,} rows, {REPORTED} rejected"
    assert job.message == f"Version 4 of us-ftc: {said}; in force."
    assert yard.rejected(job) == [EXCHANGES + place for place in range(1, REPORTED + 1)]
    assert len(await in_force(yard.records, "us-ftc")) == EXCHANGES
    assert (wholes(yard), written(yard)) == (2, EXCHANGES + 1)
    assert (yard.gate.allows(OLD), yard.gate.allows("+13002000101")) == (True, False)
    assert [path.name[32:] for path in yard.store.directory.iterdir()] == [".rejected.csv"]
    assert (await yard.projection.verify()).clean


async def test_a_worker_killed_after_the_version_is_whole_imports_nothing_twice(yard: Yard, large: Path):
    job_id = await asked(yard, large)
    worker = yard.start()
    await yard.until(lambda: wholes(yard) == 2)
    worker.kill()
    yard.age(job_id)
    yard.start()
    job = await yard.until_over(job_id)
    assert (job.outcome, job.message.split(":")[0]) == ("done", "Version 2 of us-ftc")
    assert (wholes(yard), yard.scalar("SELECT count(*) FROM registry_versions")) == (2, 2)
    assert not yard.gate.allows("+13002000101")


async def test_a_cancelled_import_stops_and_is_swept_away(yard: Yard, large: Path):
    job_id = await asked(yard, large)
    yard.start()
    await yard.until(lambda: written(yard) >= 4_000)
    await cancel(yard.database, ADMIN, job_id)
    await yard.until(lambda: yard.scalar("SELECT claimed_by IS NOT NULL FROM jobs") == 1)
    yard.workers[-1].stop()
    yard.start()  # It sweeps at its start, and then now and then.
    await yard.until(lambda: written(yard) == 1)
    assert (wholes(yard), yard.gate.allows(OLD)) == (1, False)


async def test_an_import_at_the_shell_is_killed_and_run_again(yard: Yard, large: Path, tmp_path: Path):
    words = ["import", "us-ftc", str(large), "--obtained", "2026-02-01"]
    for beyond in (4_000, 20_000):
        await killed(yard, Program("admin_web", words, tmp_path / "import.log", yard.environment), beyond)
    ended = Program("admin_web", words, tmp_path / "import.log", yard.environment)
    assert ended.wait(120) == 1, ended.log_end()  # Some rows were rejected.
    assert f"us-ftc version 4: {EXCHANGES:,} numbers" in ended.log_end()
    assert len(await in_force(yard.records, "us-ftc")) == EXCHANGES
    assert (wholes(yard), written(yard)) == (2, EXCHANGES + 1)
    assert not yard.gate.allows("+13002000101")
    assert (await yard.projection.verify()).clean
