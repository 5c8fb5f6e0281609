"""What goes wrong with a database, in the words of the person who has to put it right."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from psycopg import errors as postgres
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_MIGRATE = "its tables are missing or of another version; run `dnc-admin migrate`"
_TRY_AGAIN = "somebody else's change holds it for too long; try again"
_CHECK = "check DNC_DATABASE_URL and DNC_DATA_DIR"

_SQLITE = {
    "no such table": _MIGRATE,
    "no such column": _MIGRATE,
    "has no column": _MIGRATE,
    "database is locked": _TRY_AGAIN,
    "unable to open database file": f"the file cannot be opened; run `dnc-admin migrate` to make it, or {_CHECK}",
    "file is not a database": f"the file is not an SQLite database; {_CHECK}",
}

_POSTGRES = (postgres.OperationalError, postgres.InterfaceError, postgres.InsufficientPrivilege)


class DatabaseUnavailable(Exception):
    """The system of record cannot be reached, is locked, or lacks its tables: one line says what to do."""


@contextmanager
def named(url: URL) -> Iterator[None]:
    """Turn what the drivers raise into DatabaseUnavailable.

    Violated constraints come through as they are, and so does what only a mistake in the program can cause.
    """
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable(f"{_where(url)}: every connection is in use; try again") from error
    except DBAPIError as error:
        said = _said(error.orig) if error.orig is not None else None
        if said is None:
            raise
        raise DatabaseUnavailable(f"{_where(url)}: {_without_password(said, url)}") from error


def _said(fault: BaseException) -> str | None:
    """Put a driver's error into one line; None for a violated constraint or a mistake in the program."""
    if isinstance(fault, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return None
    if isinstance(fault, sqlite3.DatabaseError | sqlite3.InterfaceError):
        text = _first_line(fault)
        return next((said for start, said in _SQLITE.items() if start in text), text)
    if isinstance(fault, postgres.UndefinedTable | postgres.UndefinedColumn):
        return _MIGRATE
    if isinstance(fault, postgres.LockNotAvailable | postgres.DeadlockDetected):
        return _TRY_AGAIN
    if isinstance(fault, _POSTGRES):
        return f"{_first_line(fault)}; {_CHECK}"
    return None


def _first_line(fault: BaseException) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0]


def _where(url: URL) -> str:
    """Name the database for people: a file, or a server without its password."""
    if url.get_backend_name() == "sqlite":
        return f"database {url.database}"
    host = url.host or url.query.get("host") or "the local socket"
    return f"database {url.database} on {host}"


def _without_password(text: str, url: URL) -> str:
    """Take the password out, in case a driver repeats what it was given."""
    for secret in {str(url.password or ""), quote(str(url.password or ""), safe="")} - {""}:
        text = text.replace(secret, "***")
    return text
