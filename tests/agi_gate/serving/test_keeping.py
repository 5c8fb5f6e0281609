"""The parent keeps as many gate processes running as it was told to, however they end."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from agi_gate.decision_log import DecisionLog
from agi_gate.metrics import Metrics
from agi_gate.serving import processes
from agi_gate.serving.processes import Parent
from agi_gate.settings import GateSettings
from agi_gate.store.link import Link

NOWHERE = Link("redis://127.0.0.1:1", timeout_s=1)
REPORT = json.dumps(Metrics().snapshot(NOWHERE, DecisionLog(NOWHERE)) | {"connects": 3})
ACCEPTS = f"print({REPORT!r}, flush=True)"
ENDS = "pass"
TORN = """print('{"accep', end='', flush=True)"""
LIVES = f"{ACCEPTS}; import time; time.sleep(60)"
CANNOT_START = OSError("no memory is left")


class Programs:
    """Starts the next of `programs` instead of a gate process, and the last one again and again."""

    def __init__(self, *programs: str | OSError) -> None:
        self._programs, self.started = list(programs), 0
        self._start = asyncio.create_subprocess_exec

    async def __call__(self, *_words: str, **how) -> asyncio.subprocess.Process:
        program = self._programs[min(self.started, len(self._programs) - 1)]
        self.started += 1
        if isinstance(program, OSError):
            raise program
        return await self._start(sys.executable, "-IS", "-c", program, **how)


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parent]:
    monkeypatch.setattr(processes, "RESTART_S", 0.01)
    with socket.socket() as reserved:
        yield Parent(GateSettings(), 1, reserved)


async def started(programs: Programs, count: int) -> None:
    async with asyncio.timeout(20):
        while programs.started < count:  # noqa: ASYNC110 - the programs count by themselves
            await asyncio.sleep(0.005)


async def ended(parent: Parent) -> None:
    parent._stop.set()
    for child in parent._children:
        child.retire()
    await asyncio.gather(*parent._keepers)


@pytest.mark.parametrize("first", [ENDS, TORN, CANNOT_START])
async def test_a_process_is_replaced_however_it_ended(parent: Parent, monkeypatch: pytest.MonkeyPatch, first):
    monkeypatch.setattr(asyncio, "create_subprocess_exec", programs := Programs(first, LIVES))
    parent._keep()
    await started(programs, 2)
    await ended(parent)


@pytest.mark.parametrize("second", [ENDS, TORN, CANNOT_START])
async def test_a_successor_that_has_served_is_replaced_for_good(
    parent: Parent, monkeypatch: pytest.MonkeyPatch, second
):
    monkeypatch.setattr(asyncio, "create_subprocess_exec", programs := Programs(ACCEPTS, second, second, LIVES))
    parent._keep(on_trial=True)
    await started(programs, 4)
    await ended(parent)


@pytest.mark.parametrize("successor", [ENDS, TORN, CANNOT_START])
async def test_a_successor_that_never_serves_is_not_started_again_and_the_old_one_stays(
    parent: Parent, monkeypatch: pytest.MonkeyPatch, successor
):
    monkeypatch.setattr(asyncio, "create_subprocess_exec", programs := Programs(LIVES, successor, LIVES))
    old = await parent._keep().get()
    assert old is not None
    with capture_logs() as logs:
        async with asyncio.timeout(60):
            assert not await parent._replace(old)
    assert (old.retired, old.process.returncode) == (False, None)
    assert ("gate process cannot be started" in {line["event"] for line in logs}) == (successor is CANNOT_START)
    await asyncio.sleep(0)
    assert (programs.started, len(parent._keepers)) == (2, 1)
    await ended(parent)


async def test_the_counts_of_all_processes_that_have_ended_are_kept_as_those_of_one(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asyncio, "create_subprocess_exec", programs := Programs(ACCEPTS, ACCEPTS, ENDS, LIVES))
    parent._keep()
    await started(programs, 4)
    (ended_ones,) = [one for one in parent.snapshots() if not one["live"]]
    assert (ended_ones["connects"], ended_ones["accepting"]) == (6, False)
    await ended(parent)


async def served(parent: Parent, expected: bool) -> None:
    async with asyncio.timeout(20):
        while parent._is_served() is not expected:  # noqa: ASYNC110 - the programs report by themselves
            await asyncio.sleep(0.005)


async def test_processes_that_never_report_count_as_serving_for_a_while_however_often_they_are_started(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes, "START_S", 0.3)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", programs := Programs(ENDS))
    assert parent._is_served(), "a program needs some time to start"
    parent._keep()
    await served(parent, expected=False)
    many = programs.started
    while programs.started < many + 3:
        assert not parent._is_served()
        await asyncio.sleep(0.005)
    await ended(parent)


async def test_a_process_that_hangs_does_not_serve_and_one_that_was_killed_may_be_replaced_in_time(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes, "STALE_S", 1.0)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", Programs(LIVES, "import time; time.sleep(60)"))
    monkeypatch.setattr(processes, "START_S", 0.0)
    parent._keep()
    await served(parent, expected=True)
    await served(parent, expected=False)  # It reports no more.
    monkeypatch.setattr(processes, "START_S", 60.0)
    assert not parent._is_served(), "it has reported, so it is not being started"
    (hung,) = parent._children
    os.kill(hung.process.pid, signal.SIGKILL)
    await served(parent, expected=True)
    await ended(parent)
