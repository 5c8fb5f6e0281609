"""Waiting for work that waits for a lock of the database."""

import asyncio
from typing import Any

from sqlalchemy import text

from admin_web.record.changes import Records

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
)


async def waiting_for_a_lock(records: Records, work: asyncio.Task[Any]) -> None:
    """Wait until PostgreSQL lets the work wait for a lock, or until it is done.

    SQLite has one lock, which the test holds.
    """
    async with asyncio.timeout(60):
        while not (records.database.on_sqlite or work.done()):
            async with records.database.read() as session:
                if await session.scalar(WAITING):
                    return
            await asyncio.sleep(0.01)
