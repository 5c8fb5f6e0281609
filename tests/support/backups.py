"""Backups of a system of record, and their restore while Redis lives on."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from admin_web.record.database import Database
from admin_web.worker.keeper import Keeper
from lab.postgres import PostgresServer
from lab.redis import RedisServer
from tests.support.projection import World

_NUMBERS = count(1)


class Backup:
    """A copy of a database, taken with the tools of that database."""

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def restored(self, server: RedisServer) -> AsyncIterator[World]:
        """Yield a world whose database is the backup, beside the Redis that lives on."""
        async with Database(self.url) as database, World(database, server) as world:
            yield world


async def back_up(database: Database, directory: Path, server: PostgresServer | None = None) -> Backup:
    """Copy a database as it is now. `server` is that of a PostgreSQL database."""
    number = next(_NUMBERS)
    if database.on_sqlite:
        path = directory / f"backup-{number}.sqlite3"
        await asyncio.to_thread(_copy, Path(database.url.database or ""), path)
        return Backup(f"sqlite:///{path}")
    await database.close()  # PostgreSQL copies a database only while nobody uses it.
    assert server is not None
    return Backup(await asyncio.to_thread(server.create_database, f"backup_{number}", database.url.database))


def _copy(path: Path, to: Path) -> None:
    with sqlite3.connect(path) as source, sqlite3.connect(to) as target:
        source.backup(target)
    source.close()
    target.close()


def keeper_of(world: World) -> Keeper:
    """Return what the worker does for the projection of a world."""
    return Keeper(world.projection, world.settings)
