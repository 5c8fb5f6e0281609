"""The callers: questions to both gates at a fixed rate, as a PBX asks them, each of which becomes an event."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from itertools import count, cycle
from typing import cast

from agi_gate.canary import Answer, NoAnswer, header, read_line
from tests.faults.harness.history import ALLOW, BLOCK, Call
from tests.faults.harness.pool import CHANGING, FREE, IMPORTED, LISTED, holder, stranger

ANSWER_WITHIN_S = 8.0
"""Maximum wait for one answer: longer than a PBX would wait, so that late answers are seen."""

TICK_S = 0.005
AT_ONCE = 1500
"""Calls under way at which a caller waits. A gate takes no more than 2,000 from one address."""

REPLY = b"200 result=0\n"


class Conversation(asyncio.Protocol):
    """One AGI connection. `done` gets the gate's line and when it arrived; the line is empty if the gate sent none."""

    def __init__(self, request: bytes, done: asyncio.Future[tuple[bytes, int]]) -> None:
        self._request, self._done, self._line = request, done, b""
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)  # uvloop's are no subclasses.
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._line += data
        if self._line.endswith(b"\n") and not self._done.done():
            self._done.set_result((self._line, time.monotonic_ns()))
            if self.transport is not None:
                self.transport.write(REPLY)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result((b"", time.monotonic_ns()))


class Callers:
    """Places `per_second` calls, with number and lead drawn by `seed`. `record` gets each call when it is over."""

    def __init__(self, ports: Mapping[str, int], per_second: float, seed: int, record: Callable[[Call], None]) -> None:
        self._gates = cycle(ports.items())
        self._per_second, self._record = per_second, record
        self._random = random.Random(seed)
        self._ids = count(1)
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, over: asyncio.Event) -> None:
        """Place calls until `over` is set, and wait for those that are under way."""
        began, placed = time.monotonic(), 0
        while not over.is_set():
            due = int((time.monotonic() - began) * self._per_second) - placed
            for _ in range(due):
                placed += 1
                if len(self._under_way) < AT_ONCE:
                    self._place()
            await asyncio.sleep(TICK_S)
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _place(self) -> None:
        gate, port = next(self._gates)
        task = asyncio.get_running_loop().create_task(self._call(gate, port, *self._question()))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _question(self) -> tuple[str, str]:
        """Return a number, and a lead or an empty string."""
        draw = self._random
        numbers = draw.choices((FREE, LISTED, CHANGING, IMPORTED), (40, 10, 40, 10))[0]
        number = draw.choice(numbers)
        lead = draw.choices((holder(number), stranger(number), ""), (60, 25, 15))[0]
        return number, lead

    async def _call(self, gate: str, port: int, number: str, lead: str) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[bytes, int]] = loop.create_future()
        unique_id = f"{gate}-{next(self._ids)}.1"
        wall, invoked = time.time_ns() // 1_000_000, time.monotonic_ns()
        line, at = b"", 0
        transport: asyncio.BaseTransport | None = None
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                request = header(number, lead, unique_id)
                transport, _ = await loop.create_connection(lambda: Conversation(request, done), "127.0.0.1", port)
                line, at = await done
        except OSError:  # Among them TimeoutError.
            line = b""
        finally:
            if transport is not None:
                transport.close()
        self._record(_event(Call(number, lead, gate, unique_id, invoked, wall), line, at))


def _event(asked: Call, line: bytes, at: int) -> Call:
    """Return a call with its answer, if it had one."""
    try:
        answer = Answer(asked.unique_id, read_line(line))
    except NoAnswer:
        return asked
    return Call(
        asked.number, asked.lead, asked.gate, asked.unique_id, asked.invoked, asked.wall,
        at, ALLOW if answer.allowed else BLOCK, answer.reason, answer.decision,
    )  # fmt: skip
