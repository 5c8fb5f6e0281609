"""SQLite connections for the system of record: durable commits, and transactions that only `begin` starts."""

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path

import aiosqlite
from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

WRITES = "dnc_writes"
"""Execution option of an engine whose transactions may write."""

ALTERS = "dnc_alters"
"""Execution option of an engine whose transactions may alter tables."""

REPLACED = "the file was replaced; nothing was changed; try again"

SAMPLE = 1000
"""Rows that ANALYZE reads of each index (`PRAGMA analysis_limit`; lang_analyze.html, section 4)."""

FORGET_SIZES = ("DELETE FROM sqlite_stat1 WHERE tbl = 'registry_exchanges'", "ANALYZE sqlite_schema")
"""Statements that drop the statistics of `registry_exchanges`. An import makes that table a hundred thousand times
larger within a minute. With the statistics of the small table, the planner would scan the large one for every row of a
join. Without statistics, it uses the primary key.
"""


ROWS_AT_ONCE = 50
"""Rows that one INSERT with several rows writes.

The text of such a statement differs with the number of rows. Each connection keeps the last 128 prepared statements
(sqlite3.connect, cached_statements), and one for 1,000 rows of 15 columns takes some two megabytes. With batches of any
size that grew to 300 MB in the worker.
"""


async def connect(path: str, lock_s: float) -> aiosqlite.Connection:
    """Open the file and apply the settings that SQLite keeps per connection. Raises sqlite3.Error.

    `lock_s` is how many seconds to wait for another transaction's lock. With `isolation_level=None` the driver never
    starts a transaction; `begin` does.
    """
    connection = aiosqlite.connect(path, timeout=lock_s, isolation_level=None)
    thread = connection._thread  # noqa: SLF001 - aiosqlite has no public way to wait for its thread
    thread.daemon = True
    try:
        await connection
        await _set_up(connection)
    except BaseException:
        await connection.close()
        # The thread reports its end to the event loop, so wait for the thread before the loop is closed.
        await asyncio.to_thread(thread.join)
        raise
    return connection


async def _set_up(connection: aiosqlite.Connection) -> None:
    """Apply the settings of one connection.

    In WAL mode synchronous=NORMAL may lose the last commits when the power fails (pragma.html, synchronous). FULL does
    not, so a block that a page reported as recorded stays recorded.
    """
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        await connection.execute(f"PRAGMA {pragma}")
    # The switch to WAL does not wait for a lock. It fails while another connection makes the same switch. That is no
    # error: WAL mode is a property of the file, so this connection has it too.
    with suppress(sqlite3.OperationalError):
        await connection.execute("PRAGMA journal_mode=WAL")


def begin(connection: Connection) -> None:
    """Start a transaction that can write from its first statement, or one that only reads.

    A read transaction that starts to write fails with SQLITE_BUSY if another connection has written since it began,
    however long it waits (lang_transaction.html). Foreign keys can be switched only outside a transaction. They are off
    while tables are altered, because SQLite alters a table by copying it (lang_altertable.html, section 7).
    """
    options = connection.get_execution_options()
    writes = options.get(WRITES, False)
    if options.get(ALTERS, False):
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Replacement:
    """Notices that the file at `path` is another one than a connection has open, as after the restore of a backup.

    SQLite would go on with the file that was there before (howtocorrupt.html, section 1.3). What it wrote would be lost
    without an error.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def remember(self, connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        """Record which file a new connection has opened."""
        del connection
        record.info["file"] = self._identity()

    def require_same(
        self, connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection
    ) -> None:
        """Let the pool replace all its connections if the file is another one. Raises an error if there is none.

        A connection to a missing file would create an empty one.
        """
        del connection, proxy
        now = self._identity()
        if now is None and record.info.get("file"):
            raise DBAPIError("", None, sqlite3.OperationalError("unable to open database file"))
        if now != record.info.get("file"):
            raise InvalidatePoolError

    def refuse_to_commit(self, connection: Connection) -> None:
        """Raise an error instead of a commit to a file that was replaced during the transaction."""
        if connection.connection.info.get("file") != self._identity():
            raise DBAPIError("", None, sqlite3.OperationalError(REPLACED))

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino
