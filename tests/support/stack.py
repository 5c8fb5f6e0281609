"""The product as real processes: Redis, worker and gate, over one database."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from redis import Redis
from sqlalchemy import URL, Engine, create_engine, make_url, text

from agi_gate.canary import Answer, NoAnswer
from lab.cluster import RedisCluster
from lab.process import Process
from lab.redis import RedisServer
from lab.sentinel import Watched
from tests.support.asterisk import GateProcess
from tests.support.programs import Program, run


class Stack:
    """The processes of one test, with their files in `directory`. `database_url` is written as in the settings."""

    def __init__(
        self, directory: Path, redis: RedisServer | Watched | RedisCluster, database_url: str, **settings: str
    ) -> None:
        self.directory, self.redis, self.database_url, self.settings = directory, redis, database_url, settings
        directory.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "DNC_REDIS_URL": redis.url,
            "DNC_DATABASE_URL": database_url,
            "DNC_DATA_DIR": str(directory),
            **settings,
        }
        self.worker: Process | None = None
        self.gate: GateProcess | None = None
        self.sql: Engine = create_engine(_driven(make_url(database_url)))

    def admin(self, *words: str, code: int | None = 0, said: str | None = None) -> str:
        """Run one `dnc-admin` command and return its output."""
        ended = run("admin_web", words, self.environment, said or "")
        assert code in {None, ended.returncode}, f"dnc-admin {words}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def start(self) -> Self:
        self.admin("migrate")
        self.start_worker()
        self.start_gate()
        self.until_ready()
        return self

    def start_worker(self) -> Process:
        self.worker = Program("admin_web", ["worker"], self.directory / "worker.log", self.environment)
        return self.worker

    def start_gate(self) -> GateProcess:
        binds = {}
        if self.gate is not None:  # The PBX has one address: a restarted gate must use it again.
            binds = {"DNC_AGI_BIND": f"127.0.0.1:{self.gate.port}"}
        port = self.gate.port if self.gate is not None else None
        self.gate = GateProcess(self.directory, self.redis.url, **{**self.environment, **binds})
        self.gate.port = port or self.gate.port
        return self.gate

    def until_ready(self, within_s: float = 60.0) -> None:
        assert self.gate is not None
        self.gate.until_ready(within_s)

    def decisions(self) -> dict[str, tuple[str, str]]:
        """Return verdict and reason of every decision in SQL, by id."""
        with self.sql.connect() as connection:
            rows = connection.execute(text("SELECT id, verdict, reason FROM decisions")).all()
        return {row[0]: (row[1], row[2]) for row in rows}

    def until_archived(self, ids: set[str], within_s: float = 90.0) -> dict[str, tuple[str, str]]:
        """Wait until all these decisions are in SQL, and return all decisions."""
        deadline = time.monotonic() + within_s
        while not ids <= (found := self.decisions()).keys():
            assert time.monotonic() < deadline, f"{len(ids - found.keys())} decisions are not in SQL"
            time.sleep(0.05)
        return found

    def until_recorded(self, answered: Mapping[str, bool], within_s: float = 90.0) -> None:
        """Wait until SQL has each decision as it was answered: True for ALLOW.

        If a call was blocked after its ALLOW was recorded, a second record corrects the first one.
        """
        deadline = time.monotonic() + within_s
        while wrong := answered.items() - {one: row[0] == "ALLOW" for one, row in self.decisions().items()}.items():
            assert time.monotonic() < deadline, f"{len(wrong)} decisions are not in SQL as answered: {min(wrong)}"
            time.sleep(0.05)

    def redis_client(self) -> Redis:
        """Return a client of the running Redis."""
        return Redis(unix_socket_path=str(self.redis.socket))

    def stop(self) -> None:
        """Kill all processes. The clean end of a program has tests of its own."""
        for process in (self.gate and self.gate.process, self.worker):
            if process is not None:
                process.kill()
        self.sql.dispose()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _driven(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


class Callers:
    """Threads that place one call after the other. `ask` returns the digits and the lead of the next call.

    Each thread pauses between two calls, so that the calls leave time for what a test waits for.
    """

    def __init__(
        self, stack: Stack, ask: Callable[[], tuple[str, str]], threads: int = 4, pause_s: float = 0.02
    ) -> None:
        self._stack, self._ask, self._pause_s = stack, ask, pause_s
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(threads)]
        self.answers: list[tuple[str, str, Answer]] = []
        self.unanswered = 0

    def _call(self) -> None:
        while not self._over.is_set():
            dialed, lead = self._ask()
            gate = self._stack.gate
            try:
                assert gate is not None
                self.answers.append((dialed, lead, gate.screen(dialed, lead)))
            except (OSError, NoAnswer, AssertionError):
                self.unanswered += 1
                time.sleep(0.005)
            time.sleep(self._pause_s)

    def allowed(self) -> int:
        return sum(answer.allowed for _, _, answer in list(self.answers))

    def until_allowed(self, more: int, within_s: float = 60.0) -> None:
        """Wait until `more` further calls have been allowed."""
        wanted, deadline = self.allowed() + more, time.monotonic() + within_s
        while self.allowed() < wanted:
            assert time.monotonic() < deadline, "no more calls are allowed"
            time.sleep(0.02)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
