"""FastAGI servers and the load on them, each pinned to one core. C programs are compiled when a bench starts."""

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
"""SERVER_CORE is for the server alone. The callers and Redis share LOAD_CORE."""


def built(name: str, directory: Path) -> Path:
    """Compile `bench/NAME.c` into `directory` and return the program. Raises NotInstalled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NotInstalled("No C compiler: install the package gcc.")
    subprocess.run([compiler, "-O2", "-o", directory / name, HERE / f"{name}.c"], check=True)
    return directory / name


def real_time() -> list[str]:
    """Return the command prefix for real-time priority; empty unless this process is root and `chrt` is installed."""
    return ["chrt", "-r", "5"] if os.geteuid() == 0 and shutil.which("chrt") else []


@dataclass(frozen=True, slots=True)
class Load:
    """A load: `number` callers in a closed loop (`closed`), or `number` calls a second at fixed times (`open`)."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.number} callers" if self.kind == "closed" else f"{self.number} a second"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results of one run: counts and latencies at the callers, and the server's CPU time per call, in µs."""

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
    """Runs the C load generator on `LOAD_CORE`."""

    def __init__(self, directory: Path) -> None:
        self._program = built("callers", directory)

    def place(self, server: "Server", load: Load, seconds: float) -> Outcome:
        """Call one server for `seconds`, and return the results.

        `wrong` counts wrong verdicts, except those in `given_up`: calls that the gate blocked because Redis had not
        answered in time.
        """
        words = [self._program, server.port, load.kind, load.number, seconds, server.listed]
        before = cpu_seconds(server.process.pid)
        said = subprocess.run(
            ["taskset", "-c", str(LOAD_CORE), *real_time(), *map(str, words)],
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
    """A server under load.

    It must block the first `listed` of the dialled numbers. If `listed` is -1, verdicts are not checked.
    """

    name: str
    process: Process
    port: int
    listed: int


@contextmanager
def floor(directory: Path) -> Iterator[Server]:
    """Run the C server that answers every request with a fixed verdict."""
    with _listening("floor", [built("floor", directory)], [], directory, -1) as server:
        yield server


@contextmanager
def documented(directory: Path, redis_url: str, listed: int) -> Iterator[Server]:
    """Run the FastAGI server from panoramisk's documentation."""
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
        process.wait_until(lambda: "ready" in process.log.read_text())  # A probe would freeze panoramisk's server.
        pin(process.pid, SERVER_CORE)
        yield Server(name, process, port, listed)
    finally:
        process.stop()


def pin(pid: int, core: int) -> None:
    """Pin all threads of a process to one core, with real-time priority if we are root."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})
        if os.geteuid() == 0:
            os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(5))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds (from schedstat, which counts nanoseconds)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def median(outcomes: Sequence[Outcome], name: str) -> float:
    """Return the median of one figure over several runs."""
    return statistics.median(getattr(outcome, name) for outcome in outcomes)
