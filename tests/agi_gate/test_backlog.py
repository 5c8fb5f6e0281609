"""Decisions that wait: all on disk while Redis is away, in order, and no more of them in memory than the limit."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest

from agi_gate import backlog as module
from agi_gate.backlog import Backlog
from agi_gate.decision_log import DecisionLog
from agi_gate.spool import spool as files
from agi_gate.spool.segment import Found
from agi_gate.spool.spool import Spool, SpoolFull
from tests.agi_gate.test_decision_log import Replicated, decision

MOST = 10_000_000
OWNER = "0123456789ab"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 10)
    monkeypatch.setattr(files, "SEGMENT_BYTES", 1_000)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
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
    log = DecisionLog(link, Spool(directory, OWNER, MOST), "gate")
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
    log = DecisionLog(link, Spool(directory, OWNER, MOST), "gate")
    async with running(log):
        log.note(decision(1))
        assert log.on_disk == 0
        await until(lambda: log.on_disk == 1)


async def test_a_decision_that_redis_accepts_at_once_never_touches_the_disk(directory: Path, monkeypatch):
    link = cut_off()
    link.health.connected = True
    monkeypatch.setattr(Spool, "write", None)
    log = DecisionLog(link, Spool(directory, OWNER, MOST), "gate")
    async with running(log):
        for number in range(30):
            log.note(decision(number))
            await until(lambda: not log.backlog)
    assert link.appended == names(0, 30)


async def test_a_gate_adopts_what_another_left_behind_once_it_is_connected(directory: Path):
    dead = Spool(directory, OWNER, MOST)
    for number in range(40):
        dead.write(decision(number), loaded=number < 10)
    dead.release()
    link = cut_off()
    log = DecisionLog(link, Spool(directory, OWNER, MOST), "gate")
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
        log = DecisionLog(link, spool := Spool(directory, OWNER, MOST), f"gate-{kill}")
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
    async with running(DecisionLog(link, Spool(directory, OWNER, MOST), "last")):
        await until(lambda: recorded | {*link.appended} == expected and not left(directory))


class Hanging(Spool):
    """A spool on a disk that hangs until it is released."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, OWNER, MOST)
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
        assert (log.backlog, log.dropped, len(log._backlog._unwritten)) == (20, 30, 20)
        spool.released.set()
        link.health.connected = True
        await until(lambda: not log.backlog and not log._backlog.spooling)
        await until(lambda: link.decisions[-1].ruling.reason == "records-lost")
    assert link.appended[:20] == names(0, 20)
    assert link.decisions[-1].ruling.detail.startswith("30 calls until ")


async def test_beyond_the_limit_the_newest_are_lost_and_the_loss_survives_a_kill(directory: Path):
    link = cut_off()
    log = DecisionLog(link, spool := Spool(directory, OWNER, 3_000), "pbx-1:7")
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
    async with running(DecisionLog(heir, Spool(directory, OWNER, 3_000), "heir")):
        await until(lambda: len(heir.appended) > kept)
    assert heir.appended[:kept] == names(0, kept)
    assert [(one.gate, one.ruling.detail.split()[0]) for one in heir.decisions[kept:]] == [("pbx-1:7", str(lost))]


async def test_what_a_full_disk_refuses_stays_in_memory(directory: Path, monkeypatch):
    link = cut_off()

    def full(spool: Spool, one, *, loaded: bool) -> None:
        raise SpoolFull("64 MB of decisions wait on disk")

    monkeypatch.setattr(Spool, "write", full)
    log = DecisionLog(link, Spool(directory, OWNER, MOST), "gate")
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

    log = DecisionLog(link, spool := Spool(directory, OWNER, MOST), "gate")
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
    async with running(DecisionLog(heir, Spool(directory, OWNER, MOST), "heir")):
        await until(lambda: {*heir.appended} == {*names(0, 6)} and not left(directory))


async def test_a_file_that_cannot_be_used_does_not_keep_the_backlog_waiting(directory: Path):
    (directory / f"{OWNER}-0.spool").mkdir()
    link = cut_off()
    log = DecisionLog(link, Spool(directory, OWNER, MOST), "gate")
    async with running(log):
        await noted(log, 0, 40)
        link.health.connected = True
        await until(lambda: not log.backlog and not log._backlog.spooling and not log._backlog.filled.is_set())
    assert link.appended == names(0, 40)


async def test_a_refill_deletes_nothing_that_waits_in_memory(directory: Path):
    log = DecisionLog(cut_off(), spool := Spool(directory, OWNER, MOST), "gate")
    async with running(log):
        await noted(log, 0, 30)
        log._backlog.refill()
        await asyncio.sleep(0)
        await log._backlog._in_thread(lambda: None)
        assert (len(log._backlog.memory), spool.kept) == (10, 30)


async def test_a_log_that_hands_over_leaves_its_files_to_the_other(directory: Path):
    gone, heir_link = DecisionLog(cut_off(), Spool(directory, OWNER, MOST), "gate"), cut_off()
    heir = DecisionLog(heir_link, Spool(directory, OWNER, MOST), "gate")
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
    log = DecisionLog(link, spool := Spool(directory, OWNER, MOST), "gate")
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


class HangingReads(Spool):
    """A spool on a disk that hangs when it is read, until it is released."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, OWNER, MOST)
        self.released = threading.Event()

    def load(self) -> Found:
        assert self.released.wait(30)
        return super().load()

    def adopt(self) -> Found:
        assert self.released.wait(30)
        return super().adopt()


@pytest.fixture
def hanging(directory: Path) -> Iterator[HangingReads]:
    spool = HangingReads(directory)
    yield spool
    spool.released.set()


async def test_new_decisions_go_past_a_disk_that_hangs_once_redis_is_back(hanging: HangingReads, directory: Path):
    link = cut_off()
    log = DecisionLog(link, hanging, "gate")
    async with running(log):
        await noted(log, 0, 40)
        link.health.connected = True
        await until(lambda: len(link.appended) == 10)
        for number in range(40, 140):
            log.note(decision(number))
            await until(lambda: link.appended[-1] == f"id-{number}")  # noqa: B023
        assert (log.dropped, log._backlog._behind) == (0, 30)
        hanging.released.set()
        await until(lambda: not log.backlog and not left(directory))
    assert link.appended[:110] == names(0, 10) + names(40, 140)
    assert {*link.appended} == {*names(0, 140)}


async def test_redis_that_goes_again_while_the_disk_hangs_loses_nothing(hanging: HangingReads, directory: Path):
    link = cut_off()
    log = DecisionLog(link, hanging, "gate")
    async with running(log):
        await noted(log, 0, 40)
        link.health.connected = True
        await until(lambda: len(link.appended) == 10)
        link.health.connected = False
        for number in range(40, 55):
            log.note(decision(number))
        await asyncio.sleep(0)
        link.health.connected = True
        await until(lambda: len(link.appended) == 20)
        hanging.released.set()
        await until(lambda: not log.backlog and not left(directory))
    assert ({*link.appended}, log.dropped) == ({*names(0, 55)}, 0)


async def test_new_decisions_go_past_a_search_for_files_that_hangs(hanging: HangingReads, directory: Path):
    link = cut_off()
    link.health.connected = True
    log = DecisionLog(link, hanging, "gate")
    async with running(log):
        await until(lambda: log._backlog._reading)
        log.note(decision(0))
        await until(lambda: link.appended == names(0, 1))
        link.health.connected = False
        log.note(decision(1))
        await until(lambda: log._backlog.spooling)
        link.health.connected = True
        log.note(decision(2))
        await until(lambda: link.appended == names(0, 3))
        hanging.released.set()
        await until(lambda: not log.backlog and not left(directory))
    assert link.appended == names(0, 3)


async def test_what_was_adopted_is_not_deleted_before_memory_has_it(hanging: HangingReads, directory: Path):
    dead = Spool(directory, OWNER, MOST)
    dead.write(decision(9), loaded=False)
    dead.release()
    backlog = Backlog(hanging, "gate")
    backlog.adopt()
    backlog.spool()
    backlog.refill()
    assert not backlog.filled.is_set()
    hanging.released.set()
    await until(backlog.filled.is_set)
    backlog.refill()
    assert [one.id for one in backlog.memory] == names(9, 10)
    assert len(left(directory)) == 1


async def test_a_full_memory_that_the_disk_has_not_had_costs_no_new_decision(directory: Path):
    backlog = Backlog(Spool(directory, OWNER, MOST), "gate")
    for number in range(10):
        backlog.add(decision(number), cut_off=False)
    for number in range(10, 20):
        backlog.add(decision(number), cut_off=True)
    assert backlog.loss.total == 0
    await backlog.written()
    assert (len(backlog), backlog.on_disk) == (20, 20)


class Pausing(Spool):
    """A spool that takes no more than 17 decisions until it is released."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, OWNER, MOST)
        self.written, self.released = 0, threading.Event()

    def write(self, one, *, loaded: bool) -> None:
        assert self.written < 17 or self.released.wait(30)
        super().write(one, loaded=loaded)
        self.written += 1


async def test_room_is_free_again_as_soon_as_the_disk_has_some_of_the_decisions(directory: Path, monkeypatch):
    monkeypatch.setattr(module, "WRITE_AT_ONCE", 5)
    backlog = Backlog(spool := Pausing(directory), "gate")
    for number in range(20):
        backlog.add(decision(number), cut_off=True)
    writing = asyncio.create_task(backlog.written())
    await until(lambda: spool.written == 17)
    await until(lambda: len(backlog._unwritten) == 5)
    for number in range(20, 25):
        backlog.add(decision(number), cut_off=True)
    spool.released.set()
    await writing
    assert (backlog.loss.total, backlog.on_disk) == (0, 25)


async def test_what_is_written_while_the_disk_reads_is_deleted_when_it_is_recorded_and_not_before(directory: Path):
    backlog = Backlog(Spool(directory, OWNER, MOST), "gate")
    backlog.spool()
    backlog.refill()
    backlog.add(decision(1), cut_off=False)
    await backlog.written()
    await backlog._in_thread(lambda: None)
    assert len(left(directory)) == 1
    backlog.memory.clear()  # As if Redis had the decision.
    while backlog.spooling:
        backlog.refill()
        await backlog._in_thread(lambda: None)
    assert left(directory) == []
