"""Database errors, turned into one line for the operator: which database, what happened, what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from psycopg import errors as postgres
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_MIGRATE = "its tables are missing or belong to another version of dnc-gate; run `dnc-admin migrate`"
_OPTIONS = (
    "the pooler accepts no options; take `options` out of DNC_DATABASE_URL, and use ALTER ROLE … SET for settings such "
    "as search_path"
)
_SCHEMA = (
    "this role may not create tables in any schema of its search_path; let it own a schema, and add "
    "?options=-csearch_path%3DSCHEMA to DNC_DATABASE_URL"
)
_LOCKED = "another transaction has locked it for too long"
_TRY_AGAIN = "nothing was changed; try again"
_CHECK = "check DNC_DATABASE_URL and DNC_DATA_DIR"
_NO_FILE = (
    f"the file cannot be opened; run the command in the directory in which dnc-gate was started, or {_CHECK}; "
    "for a new installation run `dnc-admin migrate` to create it"
)

_NOT_SQLITE = f"the file is not an SQLite database; {_CHECK}"

_SQLITE = {
    "no such table": _MIGRATE,
    "no such column": _MIGRATE,
    "has no column": _MIGRATE,
    "database is locked": _LOCKED,
    "unable to open database file": _NO_FILE,
    "file is not a database": _NOT_SQLITE,
}

_WRONG = {_MIGRATE, _OPTIONS, _SCHEMA, _NO_FILE, _NOT_SQLITE}
"""The explanations of faults that waiting does not mend."""

_ENDED = "57P"
"""The begin of the states with which PostgreSQL ends a connection (errcodes-appendix, class 57)."""

_POSTGRES = (postgres.OperationalError, postgres.InterfaceError, postgres.InsufficientPrivilege)


class DatabaseUnavailable(Exception):
    """The system of record cannot be reached, is locked, or lacks its tables. The message is one line with advice.

    `fact` is the message without the advice, which holds only if nothing was recorded.
    """

    def __init__(self, fact: str, advice: str = "") -> None:
        super().__init__(f"{fact}; {advice}" if advice else fact)
        self.fact = fact


class OutcomeUnknown(DatabaseUnavailable):
    """The connection broke while a transaction was being committed, so nobody knows whether it was."""

    def __init__(self, fact: str) -> None:
        super().__init__(
            fact, "the connection broke during the commit, so look whether it is recorded before you repeat it"
        )


class WrongDatabase(DatabaseUnavailable):
    """The settings lead to something that is not this program's database. It stays so until somebody changes it."""


@contextmanager
def translated_errors(url: URL) -> Iterator[None]:
    """Turn errors of the database drivers into DatabaseUnavailable.

    Violated constraints are raised unchanged, and so are errors that only a bug in this program can cause.
    """
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable(f"{_where(url)}: all connections of this program are in use", "try again") from error
    except DBAPIError as error:
        explanation = _explanation(error.orig) if error.orig is not None else None
        if explanation is None:
            raise
        advice = _TRY_AGAIN if explanation == _LOCKED else ""
        kind = WrongDatabase if explanation in _WRONG else DatabaseUnavailable
        raise kind(f"{_where(url)}: {_without_password(explanation, url)}", advice) from error


@contextmanager
def unknown_outcome(url: URL) -> Iterator[None]:
    """Turn the loss of the connection during a commit into OutcomeUnknown. Other errors are raised unchanged.

    An error that the server itself reports, such as a full disk, says that it has not committed. A server that ends the
    connection may have committed: so does one that waits for a standby (PostgreSQL, SyncRepWaitForLSN in syncrep.c).
    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, _POSTGRES) and (not error.orig.sqlstate or error.orig.sqlstate.startswith(_ENDED)):
            raise OutcomeUnknown(f"{_where(url)}: {_without_password(_first_line(error.orig), url)}") from error
        raise


def _explanation(fault: BaseException) -> str | None:
    """Return one line about a driver's error; None for a violated constraint or a bug in this program."""
    if isinstance(fault, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return None
    if isinstance(fault, sqlite3.DatabaseError | sqlite3.InterfaceError):
        text = _first_line(fault)
        return next((explanation for part, explanation in _SQLITE.items() if part in text), text)
    if isinstance(fault, postgres.UndefinedTable | postgres.UndefinedColumn):
        return _MIGRATE
    if isinstance(fault, postgres.InvalidSchemaName):
        return _SCHEMA
    if isinstance(fault, postgres.LockNotAvailable | postgres.DeadlockDetected):
        return _LOCKED
    if isinstance(fault, _POSTGRES) and "unsupported startup parameter" in str(fault):
        return _OPTIONS
    if isinstance(fault, _POSTGRES):
        return f"{_first_line(fault)}; {_CHECK}"
    return None


def _first_line(fault: BaseException) -> str:
    return (str(fault).strip() or type(fault).__name__).splitlines()[0]


def _where(url: URL) -> str:
    """Return a name of the database for people: its file, or its server without the password."""
    if url.get_backend_name() == "sqlite":
        return f"database {url.database}"
    host = url.host or url.query.get("host") or url.query.get("service") or "the local socket"
    return f"database {url.database or 'of the service'} on {host}"


def _without_password(text: str, url: URL) -> str:
    """Mask the password in a message, because a driver may quote its connection string."""
    for secret in {str(url.password or ""), quote(str(url.password or ""), safe="")} - {""}:
        text = text.replace(secret, "***")
    return text
