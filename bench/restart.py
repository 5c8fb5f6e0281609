"""Measure what a restart of the one gate costs the calls: how many are blocked for it, and how long they wait.

`python -m bench.restart [--restarts 6] [--every 5] [--callers 100] [--way WAY]` lets callers ask one gate without a
pause, each one call after the other, and restarts the gate again and again. WAY is one of these; without it, all are
measured:

- socket: the gate is stopped and started again, and a supervisor keeps the socket, as systemd does,
- sighup: `agi-gate serve --processes 2` gets SIGHUP, and replaces its processes one after another,
- plain: the gate is stopped and started again, and opens the socket itself.

Every number that is dialled is on no list. So each call that is not allowed was blocked because of the restart: by the
gate, or by the dialplan, which gets no verdict within `DNC_TIMEOUT` (2 s).
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agi_gate.canary import NoAnswer, header, read_line
from compliance.channel_vars import REASON
from compliance.redis_schema import LEASE
from lab.process import Process, free_port
from lab.redis import RedisServer
from lab.supervisor import SocketActivated
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection

FREE = "+14155550199"
TIMEOUT_S = 2.0
"""The dialplan's time limit for a screening."""

SETTINGS = {"DNC_DEADLINE_MS": "1000", "DNC_PEER_MS": "30000", "DNC_LOG_LEVEL": "WARNING"}
"""The time limits are long, because callers, Redis and both gates share the cores of this machine."""


@dataclass(slots=True)
class Outcome:
    """What the callers saw: how many calls ended in which way, and how long the slowest call took, in seconds."""

    calls: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    @property
    def blocked(self) -> int:
        """How many calls were not allowed."""
        return self.calls.total() - self.calls["not-listed"]


@dataclass(frozen=True, slots=True)
class Load:
    """The callers, the restarts, the seconds between two of them, and the seconds that a call waits for its verdict."""

    callers: int
    restarts: int
    every_s: float
    patience_s: float = TIMEOUT_S


async def call(port: int, outcome: Outcome, patience_s: float) -> None:
    """Place one call, and note how it ended."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(patience_s):
            ended = await verdict(port)
    except (NoAnswer, OSError) as error:
        ended = "no verdict in time" if isinstance(error, TimeoutError) else "no verdict"
    outcome.calls[ended] += 1
    outcome.slowest_s = max(outcome.slowest_s, time.monotonic() - began)


async def verdict(port: int) -> str:
    """Return the reason of the verdict on one call. Raises NoAnswer, OSError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(header(FREE, "", "bench-1.1"))
        line = await reader.readline()
        writer.write(b"200 result=0\n")
    finally:
        writer.close()
    return read_line(line)[REASON]


async def under_load(port: int, load: Load, restart: Callable[[], None]) -> Outcome:
    """Let the callers call without a pause while the gate is restarted again and again."""
    outcome, over = Outcome(), asyncio.Event()

    async def calling() -> None:
        while not over.is_set():
            await call(port, outcome, load.patience_s)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(load.callers):
            tasks.create_task(calling())
        for _ in range(load.restarts):
            await asyncio.sleep(load.every_s)
            await asyncio.to_thread(restart)
        await asyncio.sleep(load.every_s)
        over.set()
    return outcome


class Restarted:
    """A gate in `directory` that can be restarted. A supervisor keeps `listener`, if it is given."""

    def __init__(self, directory: Path, redis_url: str, listener: socket.socket | None = None) -> None:
        self._directory, self._url, self._listener = directory, redis_url, listener
        self.port = listener.getsockname()[1] if listener else free_port()
        self.gate = self._start()

    def _start(self) -> GateProcess:
        listener, binds = self._listener, {"DNC_AGI_BIND": f"127.0.0.1:{self.port}"}

        class Gate(GateProcess):
            """A gate that is started as a program of its own, and gets the socket if there is one."""

            def begin(self, words: list[str], log: Path, environment: dict[str, str]) -> Process:
                command = [sys.executable, "-m", "agi_gate", *words]
                env = {**os.environ, **environment}
                return SocketActivated(listener, command, log, env) if listener else Process(command, log, env)

        return Gate(self._directory, self._url, **SETTINGS, **binds)

    def restart(self) -> None:
        """Stop the gate, and start it again."""
        self.gate.process.stop()
        self.gate = self._start()


@contextmanager
def on_passed_socket(directory: Path, redis_url: str) -> Iterator[tuple[int, Callable[[], None]]]:
    """Yield the port of a gate whose socket a supervisor keeps, and the function that restarts the gate."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        restarted = Restarted(directory, redis_url, listener)
        yield restarted.port, restarted.restart
        restarted.gate.process.stop()


@contextmanager
def by_sighup(directory: Path, redis_url: str) -> Iterator[tuple[int, Callable[[], None]]]:
    """Yield the port of a gate of two processes, and the function that replaces them."""
    with GateProcess(directory, redis_url, 2, **SETTINGS) as gate:
        log = gate.process.log

        def replace() -> None:
            # At the level WARNING the parent does not say that it is done. The children have other ids then.
            before = children(gate.process.pid)
            gate.process.signal(signal.SIGHUP)
            gate.process.wait_until(lambda: not before & children(gate.process.pid), within_s=60)

        yield gate.port, replace
        assert "Traceback" not in log.read_text()


@contextmanager
def plainly(directory: Path, redis_url: str) -> Iterator[tuple[int, Callable[[], None]]]:
    """Yield the port of a gate that opens its port itself, and the function that restarts the gate."""
    restarted = Restarted(directory, redis_url)
    yield restarted.port, restarted.restart
    restarted.gate.process.stop()


def children(pid: int) -> set[str]:
    """Return the ids of a process's children."""
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


WAYS = {"socket": on_passed_socket, "sighup": by_sighup, "plain": plainly}


def measured(way: str, load: Load) -> Outcome:
    """Run one way, and return what the callers saw."""
    with tempfile.TemporaryDirectory(prefix="dnc-") as directory, RedisServer(Path(directory) / "r") as redis:
        HandmadeProjection(redis).redis.persist(LEASE)
        with WAYS[way](Path(directory) / "g", redis.url) as (port, restart):
            return asyncio.run(under_load(port, load, restart))


def main() -> None:
    arguments = argparse.ArgumentParser(description="What a restart of the one gate costs the calls.")
    arguments.add_argument("--restarts", type=int, default=6)
    arguments.add_argument("--every", type=float, default=5.0, help="seconds between two restarts")
    arguments.add_argument("--callers", type=int, default=100)
    arguments.add_argument("--way", choices=WAYS)
    given = arguments.parse_args()
    print(f"{'way':<8}{'restarts':>9}{'calls':>9}{'blocked':>9}{'slowest s':>11}  how")
    for way in [given.way] if given.way else WAYS:
        outcome = measured(way, Load(given.callers, given.restarts, given.every))
        how = ", ".join(f"{count} {reason}" for reason, count in outcome.calls.items() if reason != "not-listed")
        counts = f"{given.restarts:>9}{outcome.calls.total():>9,}{outcome.blocked:>9,}{outcome.slowest_s:>11.2f}"
        print(f"{way:<8}{counts}  {how}", flush=True)


if __name__ == "__main__":
    main()
