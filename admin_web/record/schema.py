"""Migration of the tables, and the check that they match this program."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from admin_web.record.database import Database, DatabaseUnavailable

MIGRATIONS = Path(__file__).with_name("migrations")

_LOCK = 0x646E635F67617465
"""The key of PostgreSQL's advisory lock for migrations: "dnc_gate" in ASCII. SQLite's write lock needs no key."""


class SchemaMismatch(Exception):
    """The tables do not match this program. The message says what to do."""


async def migrate(database: Database) -> str:
    """Upgrade the tables to the newest revision and return it.

    Two migrations at once are safe: the second waits for the first and then finds nothing to do.
    """
    await _alter(database, partial(command.upgrade, revision="head"))
    return newest()


async def go_back(database: Database, revision: str) -> None:
    """Downgrade the tables to an earlier revision; `base` removes all of them."""
    await _alter(database, partial(command.downgrade, revision=revision))


async def require_current(database: Database) -> None:
    """Raise SchemaMismatch unless the tables are at exactly this program's revision."""
    async with database.read() as session:
        found = await (await session.connection()).run_sync(_revision)
    if found is None:
        raise SchemaMismatch("the database has no tables yet; run `dnc-admin migrate`")
    if found not in _known():
        raise SchemaMismatch(f"the tables (revision {found}) belong to a newer dnc-gate; update this program")
    if found != newest():
        raise SchemaMismatch(f"the tables (revision {found}) belong to an older dnc-gate; run `dnc-admin migrate`")


def newest() -> str:
    """Return the revision that this program needs."""
    return str(_scripts().get_current_head())


async def _alter(database: Database, step: Callable[[Config], None]) -> None:
    if database.on_sqlite and database.url.database:
        directory = Path(database.url.database).parent
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise DatabaseUnavailable(f"{directory} is no directory; check DNC_DATABASE_URL and DNC_DATA_DIR") from None
    async with database.alter() as connection:
        await connection.run_sync(_locked, step)


def _locked(connection: Connection, step: Callable[[Config], None]) -> None:
    """Run one Alembic command in the connection's transaction, while no other migration runs."""
    on_sqlite = connection.dialect.name == "sqlite"
    if not on_sqlite:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    step(_config(connection))
    if on_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise SchemaMismatch("the migration would leave rows that refer to missing rows; nothing was changed")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
