"""Decisions that wait: all on disk while Redis is away, in order, and no more of them in memory than the limit."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest

from agi_gate import backlog as module
from agi_gate import spool as files
from agi_gate.backlog import Backlog
from agi_gate.decision_log import DecisionLog
from agi_gate.spool import Spool, SpoolFull, prepare
from tests.agi_gate.test_decision_log import Replicated, decision

MOST = 10_000_000


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 10)
    monkeypatch.setattr(files, "SEGMENT_BYTES", 1_000)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    prepare(tmp_path)
    return tmp_path


def cut_off() -> Replicated:
    link = Replicated()
    link.replicas, link.health.connected = True, False
    return link


@asynccontextmanager
async def running(log: DecisionLog) -> AsyncIterator[None]:
    task = asyncio.create_task(log.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(holds) -> None:
    deadline = monotonic() + 30
    while not holds():
        assert monotonic() < deadline
        await asyncio.sleep(0.001)


async def noted(log: DecisionLog, first: int, last: int) -> None:
    """Note decisions, no faster than the disk takes them."""
    for number in range(first, last):
        log.note(decision(number))
        if number % 10 == 9:
            await log._backlog.written()
    await log._backlog.written()


def left(directory: Path) -> list[Path]:
    return [*directory.iterdir()]


def names(first: int, last: int) -> list[str]:
    return [f"id-{number}" for number in range(first, last)]


async def test_what_does_not_fit_into_memory_waits_on_disk_and_is_recorded_in_order(directory: Path):
    link = cut_off()
    log = DecisionLog(link, Spool(directory, MOST), "gate")
    async with running(log):
        for number in range(95):
            log.note(decision(number))
            await asyncio.sleep(0)
            if number % 7 == 0:
                await log._backlog.written()
            assert len(log._backlog.memory) <= 10
        await until(lambda: log.on_disk == 95)
        link.health.connected = True
        await until(lambda: not log.backlog)
        log.note(decision(95))
        await until(lambda: not log.backlog and not left(directory))
    assert (link.appended, log.dropped) == (names(0, 96), 0)


async def test_what_came_before_the_first_failure_is_on_disk_too(directory: Path):
    link = cut_off()
    link.health.connected = True
    link.replicas = False
    log = DecisionLog(link, Spool(directory, MOST), "gate")
    async with running(log):
        log.note(decision(1))
        assert log.on_disk == 0
        await until(lambda: log.on_disk == 1)


async def test_a_decision_that_redis_accepts_at_once_never_touches_the_disk(directory: Path, monkeypatch):
    link = cut_off()
    link.health.connected = True
    monkeypatch.setattr(Spool, "write", None)
    log = DecisionLog(link, Spool(directory, MOST), "gate")
    async with running(log):
        for number in range(30):
            log.note(decision(number))
            await until(lambda: not log.backlog)
    assert link.appended == names(0, 30)


async def test_a_gate_adopts_what_another_left_behind_once_it_is_connected(directory: Path):
    dead = Spool(directory, MOST)
    for number in range(40):
        dead.write(decision(number), loaded=number < 10)
    dead.release()
    link = cut_off()
    log = DecisionLog(link, Spool(directory, MOST), "gate")
    async with running(log):
        link.health.connected = True
        await until(lambda: len(link.appended) == 40)
        await until(lambda: not left(directory))
    assert link.appended == names(0, 40)


async def test_a_kill_at_any_moment_loses_nothing_that_is_on_disk(directory: Path):
    expected = set(names(0, 60))
    recorded: set[str] = set()
    for kill in range(12):
        link = cut_off()
        log = DecisionLog(link, spool := Spool(directory, MOST), f"gate-{kill}")
        async with running(log):
            if kill < 6:
                for number in range(kill * 10, kill * 10 + 10):
                    log.note(decision(number))
                await log._backlog.written()
            if kill % 2:
                link.health.connected = True
                await until(lambda: len(link.appended) >= 3 or not left(directory))  # noqa: B023
        recorded |= {*link.appended}
        await log._backlog._in_thread(spool.release)
    async with running(DecisionLog(link, Spool(directory, MOST), "last")):
        await until(lambda: recorded | {*link.appended} == expected and not left(directory))


class Hanging(Spool):
    """A spool on a disk that hangs until it is released."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, MOST)
        self.released = threading.Event()

    def write(self, one, *, loaded: bool) -> None:
        assert self.released.wait(30)
        super().write(one, loaded=loaded)


async def test_a_disk_that_hangs_delays_no_call_and_fills_no_memory(directory: Path):
    link = cut_off()
    log = DecisionLog(link, spool := Hanging(directory), "gate")
    async with running(log):
        began = monotonic()
        for number in range(50):
            log.note(decision(number))
            await asyncio.sleep(0)
        assert monotonic() - began < 5
        assert (log.backlog, log.dropped, len(log._backlog._unwritten)) == (10, 40, 10)
        spool.released.set()
        link.health.connected = True
        await until(lambda: not log.backlog and not log._backlog.spooling)
        await until(lambda: link.decisions[-1].ruling.reason == "records-lost")
    assert link.appended[:10] == names(0, 10)
    assert link.decisions[-1].ruling.detail.startswith("40 calls until ")


async def test_beyond_the_limit_the_newest_are_lost_and_the_loss_survives_a_kill(directory: Path):
    link = cut_off()
    log = DecisionLog(link, spool := Spool(directory, 3_000), "pbx-1:7")
    async with running(log):
        for number in range(100):
            log.note(decision(number))
            await log._backlog.written()
    lost, kept = log.dropped, log.on_disk
    assert lost + kept == 100
    assert 10 < kept < 90
    await log._backlog._in_thread(spool.release)
    heir = cut_off()
    heir.health.connected = True
    async with running(DecisionLog(heir, Spool(directory, 3_000), "heir")):
        await until(lambda: len(heir.appended) > kept)
    assert heir.appended[:kept] == names(0, kept)
    assert [(one.gate, one.ruling.detail.split()[0]) for one in heir.decisions[kept:]] == [("pbx-1:7", str(lost))]


async def test_what_a_full_disk_refuses_stays_in_memory(directory: Path, monkeypatch):
    link = cut_off()

    def full(spool: Spool, one, *, loaded: bool) -> None:
        raise SpoolFull("64 MB of decisions wait on disk")

    monkeypatch.setattr(Spool, "write", full)
    log = DecisionLog(link, Spool(directory, MOST), "gate")
    async with running(log):
        await noted(log, 0, 12)
        assert (log.backlog, log.dropped, log.on_disk) == (10, 2, 0)
        link.health.connected = True
        await until(lambda: not log.backlog)
    assert link.appended[:10] == names(0, 10)


async def test_what_a_full_disk_refused_is_written_when_the_process_ends(directory: Path, monkeypatch):
    link, write = cut_off(), Spool.write

    def full(spool: Spool, one, *, loaded: bool) -> None:
        raise OSError("no space is left")

    log = DecisionLog(link, spool := Spool(directory, MOST), "gate")
    await noted(log, 0, 3)
    monkeypatch.setattr(Spool, "write", full)
    await noted(log, 3, 6)
    assert (log.backlog, log.on_disk) == (6, 0), "it is not known which of the six are on disk"
    monkeypatch.setattr(Spool, "write", write)
    await log.keep()
    assert log.on_disk == 6
    await log._backlog._in_thread(spool.release)
    heir = cut_off()
    heir.health.connected = True
    async with running(DecisionLog(heir, Spool(directory, MOST), "heir")):
        await until(lambda: {*heir.appended} == {*names(0, 6)} and not left(directory))


async def test_a_file_that_cannot_be_used_does_not_keep_the_backlog_waiting(directory: Path):
    (directory / "0.spool").mkdir()
    link = cut_off()
    log = DecisionLog(link, Spool(directory, MOST), "gate")
    async with running(log):
        await noted(log, 0, 40)
        link.health.connected = True
        await until(lambda: not log.backlog and not log._backlog.spooling and not log._backlog.filled.is_set())
    assert link.appended == names(0, 40)


async def test_a_refill_deletes_nothing_that_waits_in_memory(directory: Path):
    log = DecisionLog(cut_off(), spool := Spool(directory, MOST), "gate")
    async with running(log):
        await noted(log, 0, 30)
        await log._backlog.refill()
        assert (len(log._backlog.memory), spool.kept) == (10, 30)


async def test_a_log_that_hands_over_leaves_its_files_to_the_other(directory: Path):
    gone, heir_link = DecisionLog(cut_off(), Spool(directory, MOST), "gate"), cut_off()
    heir = DecisionLog(heir_link, Spool(directory, MOST), "gate")
    async with running(gone):
        await noted(gone, 0, 40)
        for number in range(40, 45):
            gone.note(decision(number))
        gone.move_to(heir)
        assert (gone.backlog, gone.on_disk) == (0, 0)
    async with running(heir):
        heir_link.health.connected = True
        await until(lambda: {*heir_link.appended} >= {*names(0, 45)} and not left(directory))


async def test_files_that_somebody_has_deleted_end_the_wait_for_them(directory: Path):
    link = cut_off()
    log = DecisionLog(link, spool := Spool(directory, MOST), "gate")
    async with running(log):
        await noted(log, 0, 40)
        await log._backlog._in_thread(spool.release)
        for file in left(directory):
            file.unlink()
        link.health.connected = True
        await until(lambda: not log.backlog)
    assert link.appended == names(0, 10)


def test_a_backlog_without_a_spool_is_on_no_disk():
    backlog = Backlog(None, "gate")
    backlog.add(decision(1), cut_off=True)
    assert (len(backlog), backlog.on_disk) == (1, 0)
