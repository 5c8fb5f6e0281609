"""SQLite as the system of record needs it: durable, with transactions that are begun by us alone."""

import asyncio
import sqlite3
from contextlib import suppress

import aiosqlite
from sqlalchemy import Connection

WRITES = "dnc_writes"
"""Execution option of an engine: its transactions may write."""

ALTERS = "dnc_alters"
"""Execution option of an engine: its transactions may change the tables."""

SAMPLE = 1000
"""Rows of each index that are looked at to tell how large it is (lang_analyze.html, section 4)."""

FORGET_SIZES = ("DELETE FROM sqlite_stat1 WHERE tbl = 'registry_exchanges'", "ANALYZE sqlite_schema")
"""Of a table that an import makes a hundred thousand times larger within a minute, the planner must not know that it
was small: it then scans it for every row of it. Without statistics it takes the primary key."""


async def connect(path: str, lock_s: float) -> aiosqlite.Connection:
    """Open the file and set what SQLite forgets between connections. Raises sqlite3.Error.

    `lock_s`: seconds to wait for somebody else's transaction. With `isolation_level=None` the driver begins no
    transaction of its own; `begin` does.
    """
    connection = aiosqlite.connect(path, timeout=lock_s, isolation_level=None)
    thread = connection._thread  # noqa: SLF001 - no public way to wait for its end
    thread.daemon = True
    try:
        await connection
        await _set_up(connection)
    except BaseException:
        await connection.close()
        # The thread reports its end to the event loop, which must still be there by then.
        await asyncio.to_thread(thread.join)
        raise
    return connection


async def _set_up(connection: aiosqlite.Connection) -> None:
    """synchronous=FULL: in WAL mode NORMAL may lose the last commits when the power fails (pragma.html).

    A block that a page called recorded must stay recorded.
    """
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        await connection.execute(f"PRAGMA {pragma}")
    # The switch waits for nobody: it fails when another connection is just making it, for all of us.
    with suppress(sqlite3.OperationalError):
        await connection.execute("PRAGMA journal_mode=WAL")


def begin(connection: Connection) -> None:
    """Start a transaction: at once a writer, or for its whole length a reader.

    A reader that turned writer would fail with SQLITE_BUSY whenever somebody else had written in between,
    however long it waited. Foreign keys can only be switched outside a transaction; they are off while tables
    change, because SQLite changes a table by copying it (lang_altertable.html, section 7).
    """
    options = connection.get_execution_options()
    writes = options.get(WRITES, False)
    if options.get(ALTERS, False):
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
