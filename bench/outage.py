"""Measure how long decisions stand in Redis alone while SQL is away and after it is back: `python -m bench.outage`.

`python -m bench.outage [--seconds 60] [--rate 1000] [--database sqlite|postgres]` appends decisions to the stream at a
fixed rate, as gates do, while a worker archives them. Then SQL goes away: another program locks the file of SQLite, or
PostgreSQL is stopped. It prints how many decisions Redis alone had at the most, and for how long after SQL was back the
oldest decision in Redis was older than `FRESH_S`.
"""

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from redis import Redis

from agi_gate.decision_log import append
from compliance import verdict
from compliance.redis_schema import DECISIONS
from compliance.verdict import Decision, allow
from lab.postgres import PostgresServer
from lab.process import Process
from lab.redis import RedisServer

FRESH_S = 2.0
WARM_S = 5.0
LIMIT_S = 300.0


class Gates:
    """Appends decisions to the stream at `rate` a second, in a thread, until the block ends."""

    def __init__(self, redis: Redis, rate: float) -> None:
        self._redis, self._rate, self._over = redis, rate, threading.Event()
        self._thread = threading.Thread(target=self._append)

    def _append(self) -> None:
        began, made = time.monotonic(), 0
        while not self._over.wait(0.005):
            due = int((time.monotonic() - began) * self._rate)
            with self._redis.pipeline(transaction=False) as pipe:
                for number in range(made, due):
                    pipe.execute_command(*append(decision(number)))
                pipe.execute()
            made = due

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def decision(number: int) -> Decision:
    return Decision(
        id=f"01a20a789220-cf157d42-{number:08x}", at=datetime.now(UTC), ruling=allow(verdict.NOT_LISTED),
        dialed="4155550199", number="+14155550199", lead=f"lead-{number % 5000}", channel=f"1767225600.{number}",
        generation=1, gate="pbx-1:4711", peer="192.0.2.10",
    )  # fmt: skip


def waiting(redis: Redis) -> tuple[int, float]:
    """Return how many decisions wait, and for how many seconds the oldest has waited."""
    count, oldest = int(redis.xlen(DECISIONS)), redis.xrange(DECISIONS, count=1)
    return count, time.time() - int(oldest[0][0].partition(b"-")[0]) / 1000 if oldest else 0.0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of an SQLite file."""
    other = sqlite3.connect(path, timeout=30, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def stopped(postgres: PostgresServer) -> Iterator[None]:
    """Stop PostgreSQL, and start it again."""
    postgres.stop()
    yield
    postgres.start()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--rate", type=float, default=1_000)
    options.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    given = options.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="dnc-", dir=os.environ.get("TMPDIR")))
    directory.chmod(0o755)
    file, postgres = directory / "dnc.sqlite3", PostgresServer(directory / "postgres")
    try:
        with RedisServer(directory / "redis", options={"appendfsync": "everysec"}) as server:
            url = f"sqlite:///{file}" if given.database == "sqlite" else postgres.start().url()
            fault = locked(file) if given.database == "sqlite" else stopped(postgres)
            measure(server, url, directory, fault, given)
    finally:
        postgres.stop()
        shutil.rmtree(directory)


def measure(
    server: RedisServer, url: str, directory: Path, fault: AbstractContextManager[None], given: argparse.Namespace
) -> None:
    environment = {"DNC_REDIS_URL": server.url, "DNC_DATABASE_URL": url, "DNC_DATA_DIR": str(directory / "data")}
    admin = [sys.executable, "-m", "admin_web"]
    subprocess.run([*admin, "migrate"], env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    redis, feeding = Redis(unix_socket_path=str(server.socket)), Redis(unix_socket_path=str(server.socket))
    with Process([*admin, "worker"], directory / "worker.log", environment), Gates(feeding, given.rate):
        time.sleep(WARM_S)
        print(f"before: {waiting(redis)[0]:,} decisions, the oldest for {waiting(redis)[1]:.2f} s", flush=True)
        with fault:
            time.sleep(given.seconds)
        back, most = time.monotonic(), waiting(redis)
        print(f"SQL is back: {most[0]:,} decisions, the oldest for {most[1]:.2f} s", flush=True)
        while (now := waiting(redis))[1] > FRESH_S:
            assert time.monotonic() < back + LIMIT_S, now
            time.sleep(0.05)
        print(f"{time.monotonic() - back:.1f} s later: {now[0]:,} decisions, the oldest for {now[1]:.2f} s", flush=True)


if __name__ == "__main__":
    main()
