"""Servers that answer AGI and the load on them, both pinned, for benchmarks. C programs are built where they run."""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.process import NotInstalled, Process, free_port

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = 0, 1
"""The server has one core for itself; the callers and Redis share the other."""


def built(name: str, directory: Path) -> Path:
    """Compile `bench/NAME.c`. Raises NotInstalled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NotInstalled("No C compiler: install the package gcc.")
    subprocess.run([compiler, "-O2", "-o", directory / name, HERE / f"{name}.c"], check=True)
    return directory / name


def first_in_line() -> list[str]:
    """Words that put a command before whatever else the machine does, where that is allowed."""
    return ["chrt", "-r", "5"] if os.geteuid() == 0 and shutil.which("chrt") else []


@dataclass(frozen=True, slots=True)
class Load:
    """How the callers ask: `number` of them in a closed loop, or so many a second at fixed times (`open`)."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.number} callers" if self.kind == "closed" else f"{self.number} a second"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the callers saw, and the CPU time of the server for each call, in microseconds."""

    calls: int
    per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float
    unanswered: int
    wrong: int
    given_up: int
    allowed: int


class Callers:
    """Places calls with the C load generator on the core of the load."""

    def __init__(self, directory: Path) -> None:
        self._program = built("callers", directory)

    def place(self, server: "Server", load: Load, seconds: float) -> Outcome:
        """Ask one server. `wrong` counts answers other than the server ought to give, save those that were
        given up: blocked because Redis had not answered in time."""
        words = [self._program, server.port, load.kind, load.number, seconds, server.listed]
        before = cpu_seconds(server.process.pid)
        said = subprocess.run(
            ["taskset", "-c", str(LOAD_CORE), *first_in_line(), *map(str, words)],
            capture_output=True, text=True, check=True, timeout=seconds + 30,
        )  # fmt: skip
        spent = cpu_seconds(server.process.pid) - before
        told = json.loads(said.stdout)
        calls = max(told["calls"], 1)
        return Outcome(
            calls, calls / told["wall_s"], told["p50_us"], told["p99_us"], spent / calls * 1e6,
            told["unanswered"], told["wrong"], told["given_up"], told["allowed"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: of the numbers that the callers dial, the first `listed` are blocked; -1: nobody knows."""

    name: str
    process: Process
    port: int
    listed: int


@contextmanager
def floor(directory: Path) -> Iterator[Server]:
    """Run the C server that answers a fixed verdict."""
    with _listening("floor", [built("floor", directory)], [], directory, -1) as server:
        yield server


@contextmanager
def documented(directory: Path, redis_url: str, listed: int) -> Iterator[Server]:
    """Run the server that panoramisk's documentation shows."""
    command = [sys.executable, "-m", "bench.documented"]
    with _listening("documented", command, [redis_url], directory, listed) as server:
        yield server


@contextmanager
def _listening(
    name: str, command: Sequence[str | Path], more: Sequence[str], directory: Path, listed: int
) -> Iterator[Server]:
    port = free_port()
    process = Process([*command, str(port), *more], directory / f"{name}.log")
    try:
        process.wait_until(lambda: "ready" in process.log.read_text())  # To try its port would freeze panoramisk's.
        pin(process.pid, SERVER_CORE)
        yield Server(name, process, port, listed)
    finally:
        process.stop()


def pin(pid: int, core: int) -> None:
    """Hold a process, and each of its threads, to one core, before other work where that is allowed."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})
        if os.geteuid() == 0:
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(5))


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, to the nanosecond (proc(5), schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def median(outcomes: Sequence[Outcome], name: str) -> float:
    """The median of one figure over several runs."""
    return statistics.median(getattr(outcome, name) for outcome in outcomes)
