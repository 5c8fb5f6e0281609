"""The two databases of a run, with what can be done to them from outside."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import psycopg

from lab.postgres import PostgresServer
from tests.faults.harness.setting import Configuration

NAME = "dnc"


class SqliteFile:
    """SQLite in a file of the data directory."""

    server: PostgresServer | None = None

    def __init__(self, directory: Path) -> None:
        self.path = directory / "dnc.sqlite3"
        self.url = f"sqlite:///{self.path}"
        self._lock: sqlite3.Connection | None = None

    def start(self) -> None:
        """Do nothing: the product creates the file."""

    def stop(self) -> None:
        """Let go of the lock."""
        self.unlock()

    def lock(self) -> None:
        """Hold the write lock, as another program does that never commits."""
        self._lock = sqlite3.connect(self.path, timeout=20, isolation_level=None, check_same_thread=False)
        self._lock.execute("BEGIN EXCLUSIVE")

    def unlock(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class PostgresDatabase:
    """A database of a PostgreSQL server of its own."""

    def __init__(self, directory: Path) -> None:
        self.server: PostgresServer | None = PostgresServer(directory, fsync=False)
        self.url = self.running.url(NAME)

    @property
    def running(self) -> PostgresServer:
        """The server."""
        assert self.server is not None
        return self.server

    def start(self) -> None:
        """Start the server with an empty database."""
        self.running.start()
        self.running.create_database(NAME)

    def stop(self) -> None:
        """End the server."""
        self.running.stop()

    def end_connections(self) -> None:
        """End every connection to the database, as an administrator or a failing server does."""
        with suppress(psycopg.Error), closing(psycopg.connect(self.running.url(), autocommit=True)) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (NAME,))


Database = SqliteFile | PostgresDatabase


def database_of(configuration: Configuration, directory: Path) -> Database:
    """Return the database of a configuration, with its files in `directory`."""
    return PostgresDatabase(directory / "postgres") if configuration.postgres else SqliteFile(directory)
