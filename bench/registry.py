"""Import a whole national registry on this machine, rebuild it into Redis, and screen numbers through the real gate.

`python -m bench.registry [--numbers 258500000] [--samples 100000] [--database sqlite|postgresql]` writes a file in the
FTC's format, imports it, and rebuilds Redis, which has every write on disk. It screens listed and unlisted numbers
before, during and after the import of a file of changes, which makes another version. The gate's deadline is one
second, for busy machines. The gate's speed is measured in turn with that of a gate whose Redis holds 1,000 numbers. All
files are in a temporary directory, which is removed at the end.
"""

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import redis
import typer

from bench.load import Outcome, call, closed_loop, run
from bench.registry_data import Shape, shape_of, write_flat
from compliance.redis_schema import LISTS, STATE
from lab.postgres import PostgresServer
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection

PEAK = """
import resource, sys
from admin_web.__main__ import main
sys.argv = ["dnc-admin", *sys.argv[1:]]
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print("peak", peak, used.ru_utime + used.ru_stime)
"""
"""Code that prints a command's peak memory.

VmHWM is the peak of this program alone (proc(5)); getrusage(2) would include the memory of the bench at the fork.
"""

CALLERS = 32
NOWHERE = "unix:///nowhere/redis.sock"
RECORDED = (0, 3)
PATIENT = {"DNC_LOG_LEVEL": "WARNING", "DNC_DEADLINE_MS": "1000", "DNC_LEASE_S": "0"}


class Failed(Exception):
    """A command failed, or an answer was wrong."""


class Ended(NamedTuple):
    """Peak memory and CPU time of a command, and the last line of its output."""

    peak_mb: float
    cpu_s: float
    last: str


class Admin:
    """Runs `dnc-admin` commands, each in a process of its own, and prints their time and peak memory."""

    def __init__(self, directory: Path, database: str, redis_url: str) -> None:
        self._environment = os.environ | {
            "DNC_DATABASE_URL": database, "DNC_REDIS_URL": redis_url,
            "DNC_DATA_DIR": str(directory), "DNC_LEASE_S": "0",
        }  # fmt: skip

    def start(self, *words: str, **settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", PEAK, *words], env=self._environment | settings, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str, **settings: str) -> float:
        began = time.perf_counter()
        said = self.ended(self.start(*words, **settings))
        took = time.perf_counter() - began
        print(
            f"dnc-admin {words[0]}: {took:.1f} s, {said.cpu_s:.1f} s of CPU, peak {said.peak_mb:.0f} MB; {said.last}",
            flush=True,
        )
        return took

    @staticmethod
    def ended(process: subprocess.Popen[str]) -> Ended:
        out, err = process.communicate()
        if process.returncode not in RECORDED:
            raise Failed(err[-2000:])
        *said, peak = out.strip().splitlines()
        _, kilobytes, cpu_s = peak.split()
        return Ended(int(kilobytes) / 1024, float(cpu_s), said[-1] if said else "")


class Samples:
    """Random numbers that every version lists, and random numbers that no version lists."""

    def __init__(self, shape: Shape, many: int) -> None:
        chosen = random.Random(3)
        places = chosen.choices(range(len(shape.exchanges)), k=max(1, min(len(shape.exchanges), many // 20)))
        self.listed: list[str] = []
        self.free: list[str] = []
        for place in places:
            lines = set(shape.lines(place).tolist())
            exchange, each = shape.exchanges[place], -(-many // len(places))
            self.listed += [f"+1{exchange}{line:04}" for line in chosen.sample(sorted(lines), each)]
            self.free += [f"+1{exchange}{line:04}" for line in chosen.sample(sorted({*range(10_000)} - lines), each)]
        del self.listed[many:], self.free[many:]

    def check(self, port: int) -> Outcome:
        """Screen each sample and return the results. Raises Failed when an answer is wrong or missing."""
        outcome = run(_ask_all(port, [*self.listed, *self.free]))
        wrong = [number for number in self.listed if outcome.answers[(number, ""), False] < 1]
        wrong += [number for number in self.free if outcome.answers[(number, ""), True] < 1]
        if wrong or outcome.unanswered:
            said = {
                number: [reason for (asked, reason) in outcome.reasons if asked == (number, "")] for number in wrong[:5]
            }
            raise Failed(f"{len(wrong):,} wrong answers, {outcome.unanswered} calls without an answer: {said}")
        return outcome


async def _ask_all(port: int, numbers: Sequence[str]) -> Outcome:
    outcome, left, began = Outcome(), iter(numbers), time.perf_counter()

    async def caller() -> None:
        for number in left:
            await call(port, (number, ""), outcome)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    outcome.wall_s = time.perf_counter() - began
    return outcome


def main(
    numbers: Annotated[int, typer.Option(help="Numbers in the registry.")] = 258_500_000,
    samples: Annotated[int, typer.Option(help="Listed numbers to screen, and as many unlisted ones.")] = 100_000,
    database: Annotated[str, typer.Option(help="`sqlite` or `postgresql`.")] = "sqlite",
    seconds: Annotated[float, typer.Option(help="Seconds of one speed measurement.")] = 2.0,
) -> None:
    """Import, rebuild, screen, and print the results."""
    with tempfile.TemporaryDirectory(prefix="dnc-", ignore_cleanup_errors=True) as path:
        directory = Path(path)
        directory.chmod(0o755)  # PostgreSQL runs as another user.
        with _database(database, directory) as url, RedisServer(directory / "r") as server:
            admin = Admin(directory, url, server.url)
            admin.run("migrate")
            _measure(admin, directory, server, shape_of(numbers), samples, seconds)


@contextmanager
def _database(kind: str, directory: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{directory}/dnc.sqlite3"
        return
    with PostgresServer(directory / "pg") as server:
        yield server.create_database("dnc")


def _measure(admin: Admin, directory: Path, server: RedisServer, shape: Shape, many: int, seconds: float) -> None:
    numbers, file = int(shape.listed.sum()), directory / "registry.txt"
    write_flat(shape, file)
    print(f"{numbers:,} numbers in {len(shape.exchanges):,} exchanges, a file of {file.stat().st_size / 1e9:.2f} GB")
    before = _disk(directory)
    took = admin.run("import", "us-ftc", str(file), DNC_REDIS_URL=NOWHERE)
    print(f"import: {numbers / took:,.0f} rows a second, including the start of the process and the count at the end")
    file.unlink()
    print(f"SQL: {(_disk(directory) - before) / 1e9:.3f} GB on disk")
    client = redis.Redis(unix_socket_path=str(server.socket))
    empty = client.info("memory")["used_memory"]
    admin.run("rebuild")
    held = client.info("memory")
    used = held["used_memory"] - empty
    resident = held["used_memory_rss"] / 1e9
    print(f"Redis: {used / 1e9:.3f} GB, {used / numbers:.2f} bytes a number; resident {resident:.3f} GB")
    with GateProcess(
        directory / "gate", server.url, DNC_LOG_LEVEL="WARNING", DNC_DEADLINE_MS="1000", DNC_LEASE_S="0"
    ) as gate:
        gate.until_ready()
        _compare_speed(gate.port, directory, shape, seconds)
        _change_version(admin, gate.port, directory, shape, many)


def _disk(directory: Path) -> int:
    """Return the bytes that the database occupies on disk."""
    files = [
        path
        for path in directory.rglob("*")
        if path.is_file() and (path.name.startswith("dnc.") or "base" in path.parts)
    ]
    return sum(path.stat().st_size for path in files)


def _compare_speed(port: int, directory: Path, shape: Shape, seconds: float) -> None:
    """Measure the gate's speed in turn with that of a gate whose Redis has 1,000 numbers on the same lists."""
    asked = Samples(shape, 2_000)
    pool = [*asked.listed, *asked.free]
    with RedisServer(directory / "s") as server:
        small = HandmadeProjection(server)
        small.redis.hset(STATE, LISTS, "internal,us-ftc")
        for number in asked.listed[:1_000]:
            small.put_on(number, "us-ftc")
        small.redis.persist("dnc:lease")
        with GateProcess(directory / "small", server.url, **PATIENT) as gate:
            gate.until_ready()
            speeds: dict[int, list[float]] = {port: [], gate.port: []}
            for _ in range(5):
                for each, found in speeds.items():
                    ask = lambda: (random.choice(pool), "")  # noqa: E731
                    found.append(run(closed_loop(each, CALLERS, seconds, ask)).per_second)
            full, few = (statistics.median(found) for found in speeds.values())
    print(f"gate, {CALLERS} callers: {full:,.0f} calls a second; {few:,.0f} with 1,000 numbers; ratio {full / few:.2f}")


def _change_version(admin: Admin, port: int, directory: Path, shape: Shape, many: int) -> None:
    samples, changes = Samples(shape, many), directory / "changes.txt"
    changes.write_text("".join(f"202,555{line:04},2026-01-01,A\n" for line in range(1_000)))
    speed = samples.check(port).per_second
    print(f"{len(samples.listed):,} listed and {len(samples.free):,} free numbers, before: all correct, {speed:,.0f}/s")
    began, rounds = time.perf_counter(), 0
    importing = admin.start("import", "us-ftc", "--changes", str(changes))
    while importing.poll() is None:
        samples.check(port)
        rounds += 1
    ended = admin.ended(importing)
    took = time.perf_counter() - began
    print(f"{ended.last}\nduring: {rounds} rounds in {took:.0f} s, all correct; peak {ended.peak_mb:.0f} MB")
    samples.check(port)
    print("after: all correct", flush=True)


if __name__ == "__main__":
    typer.run(main)
