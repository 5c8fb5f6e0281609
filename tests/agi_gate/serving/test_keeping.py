"""The parent keeps as many gate processes running as it was told to, however they end."""

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from agi_gate.serving import processes
from agi_gate.serving.processes import Parent
from agi_gate.settings import GateSettings

ACCEPTS = """print('{"accepting": true}', flush=True)"""
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
