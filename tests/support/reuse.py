"""Engines that tests reuse one after the other. They are emptied between tests, and replaced when a test may have
changed more than their data.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from lab.postgres import PostgresServer
from lab.process import Process
from lab.redis import RedisServer

LARGEST_LOG = 8_000_000
"""Maximum size of an append-only file in bytes. Beyond it, the server is replaced before Redis rewrites the file."""


class ReusedRedis(RedisServer):
    """A Redis that records whether a test has accessed its process."""

    touched = False

    @property
    def process(self) -> Process | None:
        """The process of the running server. A test that accesses it may have paused or killed it."""
        self.touched = True
        return self._process

    @process.setter
    def process(self, process: Process | None) -> None:
        self.touched = True
        self._process = process


class RedisPool:
    """Lends one Redis at a time, empty. `binary` is its program, by default that of `redis_binary`."""

    def __init__(self, binary: Path | None = None) -> None:
        self._binary = binary
        self._server: ReusedRedis | None = None
        self._directory: Path | None = None
        self._as_started: Any = None

    def lend(self) -> ReusedRedis:
        """Return an empty Redis, that of the last test if it is unharmed. Raises NotInstalled, NotStarted."""
        if self._server is None or not self._emptied(self._server):
            self.close()
            self._directory = Path(tempfile.mkdtemp(prefix="dnc-r-"))
            self._server = ReusedRedis(self._directory / "redis", binary=self._binary)
            self._server.start()
            with _client(self._server) as client:
                self._as_started = _settings(client)
        self._server.touched = False
        return self._server

    def close(self) -> None:
        """End the server that is kept."""
        if self._server is not None:
            self._server.kill()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._server = self._directory = None

    def _emptied(self, server: ReusedRedis) -> bool:
        """Remove the data of a test; return whether the server is then like a new one."""
        if server.touched:
            return False
        try:
            with _client(server) as client:
                if (
                    _settings(client) != self._as_started
                    or client.info("persistence")["aof_current_size"] > LARGEST_LOG
                ):
                    return False
                client.client_kill_filter(skipme=True, _type="normal")
                client.flushall()
                client.script_flush()
                client.config_resetstat()
        except RedisError:
            return False
        _clear(server.directory)
        return True


def _client(server: RedisServer) -> Redis:
    return Redis(unix_socket_path=str(server.socket), socket_timeout=5)


def _settings(client: Redis) -> Any:
    return client.config_get("*"), client.acl_list()


def _clear(directory: Path) -> None:
    """Remove the files of tests that use the directory of their Redis for other files."""
    for path in directory.iterdir():
        if path.name not in {"appendonlydir", "redis.log", "redis.sock"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


class DatabasePool:
    """Lends one PostgreSQL database at a time, as empty as `template`, which is migrated."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server, self._template = server, template
        self._names = (f"test_{number}" for number in count(1))
        self._name = ""
        self._contents = sql.Composed([])
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._schema: Any = None

    def lend(self) -> str:
        """Return the URL of an empty database, that of the last test if its tables are unchanged."""
        if not self._name or not self._emptied():
            if self._name:
                self._server.drop_database(self._name)
            self._name = next(self._names)
            with _connected(self._server.create_database(self._name, self._template)) as connection:
                tables = _tables(connection)
                self._rows = {table: rows for table in tables if (rows := _rows(connection, table))}
                self._contents = _contents(table for table in tables if table not in self._rows)
                self._schema = _schema(connection)
        return self._server.url(self._name)

    def _emptied(self) -> bool:
        """Remove the rows of a test; return whether the tables are those of the template."""
        try:
            # A connection that stayed open would keep a test from copying its database.
            with _connected(self._server.url(self._name)) as connection:
                connection.execute(OTHERS_LEAVE)
                if _schema(connection) != self._schema:
                    return False
                _empty(connection, dict(connection.execute(self._contents).fetchall()))
                connection.execute(SEQUENCES_BEGIN_ANEW)
                for table, rows in self._rows.items():
                    if _rows(connection, table) != rows:
                        _empty(connection, {table: 0})
                        _insert(connection, table, rows)
        except psycopg.Error:
            return False
        return True


OTHERS_LEAVE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""

SEQUENCES_BEGIN_ANEW = """SELECT setval(format('%I.%I', schemaname, sequencename), start_value, false)
FROM pg_sequences WHERE last_value IS NOT NULL"""

CONTENT = sql.SQL("SELECT {name}, pg_relation_size({name}) WHERE EXISTS (SELECT FROM {table})")

SMALL = 65_536
"""Maximum size in bytes of a table from which rows are deleted. A larger one is truncated, which costs 5 ms of CPU."""


def _connected(url: str) -> Connection[tuple[Any, ...]]:
    return psycopg.connect(url, autocommit=True)


def _contents(tables: Iterable[str]) -> sql.Composed:
    """Return a statement that selects the name of each table that has rows, and its size in bytes."""
    return sql.SQL(" UNION ALL ").join(CONTENT.format(name=table, table=sql.Identifier(table)) for table in tables)


def _tables(connection: Connection[tuple[Any, ...]]) -> list[str]:
    return [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]


def _rows(connection: Connection[tuple[Any, ...]], table: str) -> list[tuple[Any, ...]]:
    return connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()


def _schema(connection: Connection[tuple[Any, ...]]) -> Any:
    """Return a value that changes with every column, index and constraint: their count and last transaction id."""
    return connection.execute("""
        SELECT (SELECT (count(*), max(xmin::text::bigint))::text FROM pg_attribute WHERE attrelid >= 16384),
               (SELECT (count(*), max(xmin::text::bigint))::text FROM pg_constraint)""").fetchone()


def _empty(connection: Connection[tuple[Any, ...]], sizes: Mapping[str, int]) -> None:
    """Remove all rows of these tables. `sizes` are in bytes."""
    large = [sql.Identifier(table) for table, size in sizes.items() if size > SMALL]
    steps = [sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table, size in sizes.items() if size <= SMALL]
    if large:
        steps.append(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(large)))
    if steps:
        any_order = sql.SQL("SET session_replication_role = replica")  # No foreign key is checked.
        connection.execute(sql.SQL("; ").join([any_order, *steps]))


def _insert(connection: Connection[tuple[Any, ...]], table: str, rows: list[tuple[Any, ...]]) -> None:
    values = sql.SQL(", ").join([sql.Placeholder()] * len(rows[0]))
    with connection.cursor() as cursor:
        cursor.executemany(sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(table), values), rows)


class CompiledStatements:
    """Shares compiled SQL statements among all engines of a process. SQLAlchemy has a cache for each engine."""

    def __init__(self) -> None:
        self._first: dict[str, Engine] = {}

    def sharing(self, make: Callable[..., AsyncEngine]) -> Callable[..., AsyncEngine]:
        """Return a `create_async_engine` whose engines share the cache."""

        def made(*words: Any, **options: Any) -> AsyncEngine:
            engine = make(*words, **options)
            first = self._first.get(engine.dialect.name)
            # SQLAlchemy initializes a dialect at the first connection of its own engine, which may never come.
            if first is None or not hasattr(first.dialect, "default_isolation_level"):
                self._first[engine.dialect.name] = engine.sync_engine
                return engine
            # The key of the cache has the dialect, and a dialect is only equal to itself.
            engine.sync_engine.dialect = first.dialect
            engine.sync_engine._compiled_cache = first._compiled_cache
            return engine

        return made
