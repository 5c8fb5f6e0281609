"""The system of record, reached: one transaction at a time, on SQLite and PostgreSQL alike."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self

from sqlalchemy import URL, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from admin_web.record import sqlite
from admin_web.record.database_faults import DatabaseUnavailable, named
from admin_web.settings import driven

__all__ = ["Database", "DatabaseUnavailable"]

CONNECT_S = 3
"""Seconds to reach PostgreSQL; also how long a caller waits for a free connection."""

SQLITE_PAUSE_S = 0.06
"""SQLite has one write lock, and a writer that waits for it retries every 25 to 100 ms: it must be free for a while."""

LOCK_S = 5.0
"""Seconds to wait for somebody else's transaction before giving up."""


class Database:
    """The system of record at `url` (`sqlite:///PATH` or `postgresql://…`). Building one opens nothing.

    Its transactions raise DatabaseUnavailable; constraint violations come through as IntegrityError.
    """

    def __init__(self, url: str, *, lock_s: float = LOCK_S) -> None:
        self.url: URL = driven(url)
        reading: dict[str, Any] = {}
        if self.on_sqlite:
            self._engine = _sqlite_engine(self.url, lock_s)
        else:
            self._engine = _postgres_engine(self.url, lock_s)
            # READ COMMITTED would show a long export a different truth in each statement.
            reading = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._writing = self._engine.execution_options(**{sqlite.WRITES: True})
        self._reading = self._engine.execution_options(**reading)

    @property
    def on_sqlite(self) -> bool:
        """Tell SQLite from PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def pause_s(self) -> float:
        """Seconds that a bulk writer leaves free between two of its transactions, so that other writers get a turn."""
        return SQLITE_PAUSE_S if self.on_sqlite else 0.0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that sees one snapshot and can change nothing.

        Many rows are read with `session.stream` and the execution option `yield_per`: memory stays flat.
        """
        with named(self.url):
            async with AsyncSession(self._reading, expire_on_commit=False) as session, session.begin():
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that commits at the end of the block, or leaves nothing if the block raises.

        On SQLite it holds the one write lock from the start. On PostgreSQL it is READ COMMITTED: lock the rows
        that a decision rests on (`with_for_update`, which SQLite does not need and ignores).
        """
        with named(self.url):
            async with AsyncSession(self._writing, expire_on_commit=False) as session, session.begin():
                yield session

    @asynccontextmanager
    async def alter(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that may change the tables themselves, foreign keys not held meanwhile."""
        altering = self._engine.execution_options(**{sqlite.WRITES: True, sqlite.ALTERS: True})
        with named(self.url):
            try:
                async with altering.begin() as connection:
                    yield connection
            finally:
                await self._engine.dispose()  # the next connection holds foreign keys again

    async def note_sizes(self) -> None:
        """Let SQLite's planner know how large the tables have become; PostgreSQL sees to that by itself.

        Of each index a sample is read, some milliseconds' worth, however large it is.
        """
        if self.on_sqlite:
            async with self.write() as session:
                await session.execute(text(f"PRAGMA analysis_limit={sqlite.SAMPLE}"))
                await session.execute(text("ANALYZE"))
                for forgotten in sqlite.FORGET_SIZES:
                    await session.execute(text(forgotten))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _sqlite_engine(url: URL, lock_s: float) -> AsyncEngine:
    opened = partial(sqlite.connect, url.database or "", lock_s)
    engine = create_async_engine(url, async_creator=opened, pool_timeout=CONNECT_S, hide_parameters=True)
    event.listen(engine.sync_engine, "begin", sqlite.begin)
    return engine


def _postgres_engine(url: URL, lock_s: float) -> AsyncEngine:
    wanted = {
        "connect_timeout": CONNECT_S,
        "application_name": "dnc-gate",
        # A server that vanished without a word is noticed in seconds, not in the kernel's two hours.
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        # One reason stands on millions of decisions, another on ten: a plan for any of them is the wrong one for most.
        "options": f"-c lock_timeout={int(lock_s * 1000)} -c timezone=UTC -c plan_cache_mode=force_custom_plan",
    }
    # Parameters hold numbers and password hashes: they stay out of every message.
    return create_async_engine(
        url, connect_args=wanted, pool_timeout=CONNECT_S, pool_pre_ping=True, hide_parameters=True
    )
