"""The URL of the system of record: SQLite as SQLAlchemy writes it, PostgreSQL as SQLAlchemy and libpq write it.

    sqlite:///PATH/TO/FILE              also sqlite+aiosqlite:///…
    postgresql://USER:PASSWORD@HOST/DATABASE?OPTIONS    also postgres://…, postgresql+psycopg://…

OPTIONS are those of libpq (PostgreSQL documentation, 34.1.2): several hosts, unix sockets, `options`, `sslmode`,
`service` and others. A URL that cannot be parsed may contain a password anywhere, so no message repeats any part of it.
"""

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SQLITE, POSTGRES = "sqlite+aiosqlite", "postgresql+psycopg"

_SQLITE_SCHEMES = frozenset({"sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"})
_POSTGRES_SCHEMES = frozenset(
    {"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg_async", "postgresql+psycopg2"}
)

HOW_TO_WRITE = (
    "write postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:///PATH/TO/FILE. In user and password write @ as %40, "
    ": as %3A, / as %2F, # as %23, ? as %3F and % as %25"
)


def driven(url: str) -> URL:
    """Return a database URL with its asynchronous driver. Raises ValueError unless it is SQLite or PostgreSQL.

    For PostgreSQL, several hosts and whatever else SQLAlchemy has no field for are in the query of the result.
    """
    scheme = url.partition("://")[0]
    if scheme in _SQLITE_SCHEMES:
        return _sqlite(url)
    if scheme not in _POSTGRES_SCHEMES:
        raise ValueError(HOW_TO_WRITE)
    fields = postgres_fields(url)
    port = fields.get("port", "")
    return URL.create(
        POSTGRES,
        fields.pop("user", None),
        fields.pop("password", None),
        None if _several(fields) else fields.pop("host", None),
        int(fields.pop("port")) if port.isdecimal() else None,
        fields.pop("dbname", None),
        fields,
    )


def postgres_fields(url: str) -> dict[str, str]:
    """Return the connection parameters of libpq, by name, from a URL of PostgreSQL. Raises ValueError."""
    try:
        found = conninfo_to_dict(f"postgresql://{url.partition('://')[2]}")
    except ProgrammingError:
        raise ValueError(HOW_TO_WRITE) from None
    fields = {name: str(value) for name, value in found.items()}
    ports = fields.get("port", "").split(",")
    unescaped = "@" in fields.get("dbname", "") or "@" in fields.get("host", "")[1:]
    if unescaped or not (fields.get("dbname") or fields.get("service")):
        raise ValueError(HOW_TO_WRITE)
    if not all(not port or (port.isascii() and port.isdecimal() and int(port) <= 65535) for port in ports):
        raise ValueError(HOW_TO_WRITE)
    return fields


def _sqlite(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(HOW_TO_WRITE) from None
    if not parsed.database or parsed.database == ":memory:" or parsed.host:
        raise ValueError(HOW_TO_WRITE)
    return parsed.set(drivername=SQLITE)


def _several(fields: dict[str, str]) -> bool:
    return "," in fields.get("host", "")
