"""Faults of the database."""

import os
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from lab.process import NotStarted
from tests.faults.harness.databases import PostgresDatabase, SqliteFile
from tests.faults.harness.faults.fault import CannotBegin, Fault
from tests.faults.harness.setting import Configuration
from tests.faults.harness.stack import FaultStack
from tests.faults.harness.stated import SQL_BACK_S

LONG_S = (0.5, 14.0)
"""Some of these outages are longer than the lease."""


def postgres(stack: FaultStack) -> PostgresDatabase:
    """Return the PostgreSQL of a run."""
    assert isinstance(stack.database, PostgresDatabase)
    return stack.database


class SqliteLocked(Fault):
    """Another process holds the write lock of SQLite."""

    kind, target, back_within_s, holds_s = "sqlite-lock", "sql", SQL_BACK_S, LONG_S

    @classmethod
    def fits(cls, configuration: Configuration) -> bool:
        return not configuration.postgres

    def begin(self, stack: FaultStack) -> None:
        self.target = "sql"
        assert isinstance(stack.database, SqliteFile)
        stack.database.lock()

    def end(self, stack: FaultStack) -> None:
        assert isinstance(stack.database, SqliteFile)
        stack.database.unlock()


class _OfPostgres(Fault):
    back_within_s, holds_s = SQL_BACK_S, LONG_S

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.target = "sql"

    @classmethod
    def fits(cls, configuration: Configuration) -> bool:
        return configuration.postgres


class PostgresStopped(_OfPostgres):
    """PostgreSQL is ended as an operator does, and started again."""

    kind = "postgres-stop"

    def begin(self, stack: FaultStack) -> None:
        postgres(stack).running.stop()

    def end(self, stack: FaultStack) -> None:
        postgres(stack).running.start()


class PostgresCrashed(PostgresStopped):
    """PostgreSQL ends without a checkpoint (SIGQUIT), and recovers."""

    kind = "postgres-crash"

    def begin(self, stack: FaultStack) -> None:
        process = postgres(stack).running.running
        process.signal(signal.SIGQUIT)
        process.wait()


class PostgresPaused(_OfPostgres):
    """Every process of PostgreSQL stands still."""

    kind = "postgres-pause"

    def begin(self, stack: FaultStack) -> None:
        process = postgres(stack).running.running
        if process.exit_code is not None:
            raise CannotBegin("PostgreSQL is away")
        process.pause()  # First the one that would start others.
        pids = [*_children(process.pid), process.pid]
        # The backends have sessions of their own: nobody would resume them if the harness died now. `read` ends then.
        words = ["sh", "-c", 'read -r _; kill -CONT "$@"', "sh", *map(str, pids)]
        self._resuming = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def end(self, stack: FaultStack) -> None:
        self._resuming.communicate()
        postgres(stack).running.running.resume()


class ConnectionsEnded(_OfPostgres):
    """Every connection to PostgreSQL is ended (pg_terminate_backend)."""

    kind, holds_s = "postgres-connections", (0.0, 0.0)

    def begin(self, stack: FaultStack) -> None:
        postgres(stack).end_connections()


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class SqlDiskFull(Fault):
    """The disk of the database and the documents is full."""

    kind, back_within_s, holds_s = "sql-disk-full", SQL_BACK_S, (0.5, 6.0)

    def begin(self, stack: FaultStack) -> None:
        self.target = "sql"
        if "sql" not in stack.disks:
            raise CannotBegin("this machine allows no mounts of its own")
        stack.disks["sql"].fill()

    def end(self, stack: FaultStack) -> None:
        stack.disks["sql"].free()
        server = stack.database.server
        if server is not None and server.running.exit_code is not None:
            with suppress(NotStarted):
                server.start()
