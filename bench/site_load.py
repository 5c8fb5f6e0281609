"""Load millions of rows into PostgreSQL (COPY) or SQLite (one transaction), and create the indexes afterwards."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import make_url

from admin_web.record.database import Database
from admin_web.record.models import Base
from bench import site_calls, site_data
from bench.site_data import Rows, Scale

PARTS: tuple[tuple[str, str, Callable[[Scale], Rows]], ...] = (
    ("users", site_data.USERS, site_data.users),
    ("leads", site_data.LEADS, site_data.leads),
    ("suppression_entries", site_data.ENTRIES, site_data.entries),
    ("documents", site_data.DOCUMENTS, site_data.documents),
    ("overrides", site_data.OVERRIDES, site_data.overrides),
    ("decisions", site_calls.DECISIONS, site_calls.decisions),
    ("call_details", site_calls.DETAILS, site_calls.details),
    ("call_requests", site_calls.REQUESTS, site_calls.requests),
    ("dispositions", site_calls.DISPOSITIONS, site_calls.dispositions),
    ("audit_events", site_data.EVENTS, site_data.events),
    ("jobs", site_data.JOBS, site_data.jobs),
)
"""The tables, each with its columns and the function that makes its rows. Referenced tables come first."""

TOTALS = {
    "sqlite": "substr(at, 1, 14) || printf('%02d:00.000000', substr(at, 15, 2) / 15 * 15)",
    "postgresql": "date_bin('15 minutes', at, '2000-01-01 00:00:00+00')",
}
"""SQL for the quarter of an hour of a decision, by which the archive counts decisions."""


GIVEN_IDS = {"documents", "overrides"}
"""Tables whose rows get explicit ids, so that other rows can refer to them."""


def load(url: str, scale: Scale) -> None:
    """Fill a migrated, empty database."""
    engine = _engine(url)
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            for index in table.indexes:
                index.drop(connection, checkfirst=True)
    for table, columns, rows in PARTS:
        began = time.monotonic()
        count = _fill(url, table, columns.split(), rows(scale))
        print(f"  {table:<20}{count:>12,} rows {time.monotonic() - began:8.1f} s", flush=True)
    began = time.monotonic()
    with engine.begin() as connection:
        connection.execute(text(_counting(engine.dialect.name)))
    settle(url)
    print(f"  {'indexes, statistics':<20}{'':>17} {time.monotonic() - began:8.1f} s", flush=True)


def described_tables() -> str:
    """Return a text that lists every column of the models. Data made for another text is made anew."""
    tables = Base.metadata.sorted_tables
    return "\n".join(f"{column} {column.type!r} {column.nullable}" for table in tables for column in table.columns)


def settle(url: str) -> None:
    """Make the indexes match those of the models, and update the statistics of the query planner."""
    engine = _engine(url)
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            wanted = {(index.name, *index.columns.keys()): index for index in table.indexes}
            there = _indexes(connection, table.name)
            for name, *_ in there - wanted.keys():
                connection.execute(text(f'DROP INDEX "{name}"'))
            for known in wanted.keys() - there:
                wanted[known].create(connection)
    engine.dispose()
    asyncio.run(_analyze(url))


async def _analyze(url: str) -> None:
    """Record table sizes and statistics, as the worker and PostgreSQL's autovacuum do in the background."""
    async with Database(url) as database:
        await database.analyze()
    if make_url(url).get_backend_name() == "postgresql":
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


def _counting(dialect: str) -> str:
    return (
        "INSERT INTO decision_totals (began_at, verdict, reason, decisions) "
        f"SELECT {TOTALS[dialect]}, verdict, reason, count(*) FROM decisions GROUP BY 1, 2, 3"
    )


def _indexes(connection: Connection, table: str) -> set[tuple[str | None, ...]]:
    """Return the existing indexes, each with its columns."""
    found = inspect(connection).get_indexes(table)
    return {(index["name"], *index["column_names"]) for index in found if "duplicates_constraint" not in index}


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    return create_engine(parsed.set(drivername=DRIVERS[parsed.get_backend_name()]))


DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


def _fill(url: str, table: str, columns: list[str], rows: Rows) -> int:
    into = f"{table} ({', '.join(columns)})"
    if make_url(url).get_backend_name() == "sqlite":
        return _insert(make_url(url).database or "", into, len(columns), rows)
    return _copy(url, into, rows, table)


def _insert(path: str, into: str, width: int, rows: Rows) -> int:
    marks = ", ".join("?" * width)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        return connection.executemany(f"INSERT INTO {into} VALUES ({marks})", map(_converted, rows)).rowcount


def _converted(row: tuple[Any, ...]) -> list[Any]:
    """Convert the values that SQLite has no type for, as SQLAlchemy does."""
    return [_CONVERTERS[type(value)](value) if type(value) in _CONVERTERS else value for value in row]


_CONVERTERS: dict[type, Callable[[Any], object]] = {
    datetime: lambda at: at.isoformat(" ", "microseconds"),
    date: date.isoformat,
    dict: json.dumps,
}


def _copy(url: str, into: str, rows: Rows, table: str) -> int:
    count = 0
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        with connection.cursor().copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row([json.dumps(value) if isinstance(value, dict) else value for value in row])
                count += 1
        if table in GIVEN_IDS:
            connection.execute(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")
    return count
