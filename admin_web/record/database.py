"""Transactions on the system of record, which is SQLite or PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self

from sqlalchemy import URL, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from admin_web.record import sqlite
from admin_web.record.database_faults import DatabaseUnavailable, OutcomeUnknown, translated_errors, unknown_outcome
from admin_web.record.postgres import Connector
from compliance.database_url import POSTGRES, driven

__all__ = ["Database", "DatabaseUnavailable", "OutcomeUnknown"]

CONNECT_S = 3
"""Seconds to wait for a connection: for PostgreSQL to accept a new one, and for the pool to free one."""

SQLITE_PAUSE_S = 0.06
"""Seconds that a bulk writer pauses between its transactions. SQLite has one write lock and no queue for it: a waiting
writer retries every 25 to 100 ms, so it gets a turn only if the lock stays free for about that long.
"""

LOCK_S = 5.0
"""Seconds to wait for a lock that another transaction holds."""


class Database:
    """The system of record at `url` (`sqlite:///PATH` or `postgresql://…`). It connects at the first transaction.

    Transactions raise DatabaseUnavailable; violated constraints raise IntegrityError.
    """

    def __init__(self, url: str, *, lock_s: float = LOCK_S) -> None:
        self.url: URL = driven(url)
        reading: dict[str, Any] = {}
        if self.on_sqlite:
            self._engine = _sqlite_engine(self.url, lock_s)
        else:
            self._engine = _postgres_engine(url, lock_s)
            # Under READ COMMITTED each statement of a long export would see a different snapshot.
            reading = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._writing = self._engine.execution_options(**{sqlite.WRITES: True})
        self._reading = self._engine.execution_options(**reading)

    @property
    def on_sqlite(self) -> bool:
        """Whether this is SQLite; otherwise it is PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def pause_s(self) -> float:
        """Seconds that a bulk writer pauses between two transactions, so that other writers get a turn."""
        return SQLITE_PAUSE_S if self.on_sqlite else 0.0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Open a read-only transaction that sees one snapshot.

        For many rows use `session.stream` with the execution option `yield_per`, which keeps memory use constant.
        """
        with translated_errors(self.url):
            async with AsyncSession(self._reading, expire_on_commit=False) as session, session.begin():
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that commits at the end of the block, or rolls back if the block raises.

        On SQLite it holds the one write lock from the start. On PostgreSQL it is READ COMMITTED, so lock the rows
        that a decision depends on (`with_for_update`; SQLite does not need it and ignores it).
        """
        with translated_errors(self.url):
            async with AsyncSession(self._writing, expire_on_commit=False) as session, session.begin() as transaction:
                yield session
                with unknown_outcome(self.url):
                    await transaction.commit()

    @asynccontextmanager
    async def alter(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that may alter tables. Until it ends, SQLite does not enforce foreign keys."""
        altering = self._engine.execution_options(**{sqlite.WRITES: True, sqlite.ALTERS: True})
        with translated_errors(self.url):
            try:
                async with altering.begin() as connection:
                    yield connection
            finally:
                await self._engine.dispose()  # New connections enforce foreign keys again.

    async def analyze(self) -> None:
        """Refresh the table statistics of SQLite's query planner. PostgreSQL does this automatically (autovacuum).

        Only a sample of each index is read, so this takes some milliseconds however large the tables are.
        """
        if self.on_sqlite:
            async with self.write() as session:
                await session.execute(text(f"PRAGMA analysis_limit={sqlite.SAMPLE}"))
                await session.execute(text("ANALYZE"))
                for statement in sqlite.FORGET_SIZES:
                    await session.execute(text(statement))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _sqlite_engine(url: URL, lock_s: float) -> AsyncEngine:
    opened = partial(sqlite.connect, url.database or "", lock_s)
    engine = create_async_engine(
        url,
        async_creator=opened,
        pool_timeout=CONNECT_S,
        insertmanyvalues_page_size=sqlite.ROWS_AT_ONCE,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "begin", sqlite.begin)
    replaced = sqlite.Replacement(url.database or "")
    event.listen(engine.sync_engine, "connect", replaced.remember)
    event.listen(engine.sync_engine, "checkout", replaced.require_same)
    event.listen(engine.sync_engine, "commit", replaced.refuse_to_commit)
    return engine


def _postgres_engine(url: str, lock_s: float) -> AsyncEngine:
    connector = Connector(url, CONNECT_S, lock_s)
    # Parameters contain telephone numbers and password hashes, which must not appear in error messages.
    engine = create_async_engine(
        f"{POSTGRES}://",
        async_creator=connector.connect,
        pool_timeout=CONNECT_S,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "begin", connector.begin)
    return engine
