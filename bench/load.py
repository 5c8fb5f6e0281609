"""AGI load in Python: callers that connect, send a request, read the line, reply and hang up, as Asterisk does."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from agi_gate.canary import header

Question = tuple[str, str]
"""One question: the dialled digits, and the lead or an empty string."""


@dataclass(slots=True)
class Outcome:
    """Results of a load: verdicts and reasons by question, seconds of each call, and the calls without an answer."""

    seconds: list[float] = field(default_factory=list)
    answers: Counter[tuple[Question, bool]] = field(default_factory=Counter)
    reasons: Counter[tuple[Question, str]] = field(default_factory=Counter)
    unanswered: int = 0
    wall_s: float = 0.0

    @property
    def per_second(self) -> float:
        """Answered calls per second."""
        return len(self.seconds) / self.wall_s


class _Call(asyncio.Protocol):
    """One AGI connection. When it closes, `done` gets the gate's line; it is empty if the gate sent none."""

    def __init__(self, request: bytes, done: asyncio.Future[bytes]) -> None:
        self._request, self._done, self._line = request, done, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._line += data
        if data.endswith(b"\n"):
            self._transport.write(b"200 result=0\n")  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self._done.done():
            self._done.set_result(self._line)


async def call(port: int, question: Question, outcome: Outcome, due: float | None = None) -> None:
    """Place one call and add it to `outcome`. Latency runs from `due` (time.perf_counter) if given, else from now."""
    loop = asyncio.get_running_loop()
    started = due if due is not None else time.perf_counter()
    done: asyncio.Future[bytes] = loop.create_future()
    channel = f"load-{random.getrandbits(40)}.1"
    try:
        await loop.create_connection(lambda: _Call(header(*question, channel), done), "127.0.0.1", port)
        line = await done
    except OSError:
        line = b""
    if not line.endswith(b"\n"):
        outcome.unanswered += 1
        return
    outcome.seconds.append(time.perf_counter() - started)
    outcome.reasons[question, line.partition(b"DNC_REASON=")[2].partition(b",")[0].decode()] += 1
    outcome.answers[question, f'DNC_VERDICT=ALLOW-{channel}"'.encode() in line] += 1


async def closed_loop(port: int, callers: int, seconds: float, ask: Callable[[], Question]) -> Outcome:
    """Run `callers` callers for `seconds`. Each places one call after the other."""
    outcome = Outcome()
    started = time.perf_counter()

    async def caller() -> None:
        while time.perf_counter() < started + seconds:
            await call(port, ask(), outcome)

    await asyncio.gather(*(caller() for _ in range(callers)))
    outcome.wall_s = time.perf_counter() - started
    return outcome


async def open_loop(port: int, per_second: float, seconds: float, ask: Callable[[], Question]) -> Outcome:
    """Place `per_second` calls a second at fixed times, however slow the answers. Latency runs from the due time."""
    outcome = Outcome()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as calls:
        for index in range(int(per_second * seconds)):
            due = started + index / per_second
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            calls.create_task(call(port, ask(), outcome, due))
    outcome.wall_s = time.perf_counter() - started
    return outcome


def run(work: "asyncio.Future[Outcome] | object") -> Outcome:
    """Run one load on uvloop, and return its results."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)  # type: ignore[arg-type]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
