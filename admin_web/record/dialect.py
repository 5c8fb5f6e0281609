"""SQL that differs between SQLite and PostgreSQL."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import JSON, ColumnElement, Select, String, cast, column, func, literal, select, text, true, type_coerce
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.models import Base, UtcDateTime


class Range(NamedTuple):
    """The ids of `many` new rows: those between `first` and `last` that this transaction made."""

    first: int
    last: int
    many: int


def insert_into(session: AsyncSession, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Return the dialect's own INSERT, which supports ON CONFLICT."""
    return sqlite.insert(table) if on_sqlite(session) else postgresql.insert(table)


def each_of(session: AsyncSession, values: Collection[str]) -> ColumnElement[str]:
    """Return an SQL column that contains `values`, in their order.

    The values are sent as one JSON parameter, so a statement takes any number of them. As separate parameters, SQLite
    would accept at most 32,766 (limits.html) and PostgreSQL 65,535.
    """
    array = _json(list(values))
    if on_sqlite(session):
        return func.json_each(array).table_valued("value").c.value
    return func.json_array_elements_text(cast(array, JSON)).table_valued("value").c.value


def each_moment(
    session: AsyncSession, moments: Mapping[str, datetime | None]
) -> tuple[ColumnElement[str], ColumnElement[datetime]]:
    """Return two SQL columns of the same rows: the keys of `moments`, and the moment (aware UTC) of each or NULL.

    Like those of `each_of`, they are sent as one JSON parameter.
    """
    array = _json([(key, at and _spelled(session, at)) for key, at in moments.items()])
    if on_sqlite(session):
        pair = func.json_each(array).table_valued("value").c.value
        return func.json_extract(pair, "$[0]"), type_coerce(func.json_extract(pair, "$[1]"), UtcDateTime)
    pair = func.json_array_elements(cast(array, JSON)).table_valued(column("value", postgresql.JSON)).c.value
    return pair[0].astext, cast(pair[1].astext, UtcDateTime)


def each_row(
    session: AsyncSession, table: type[Base], rows: Sequence[Mapping[str, str | int | datetime]]
) -> Select[Any]:
    """Return a query for `rows`, in their order. It has the columns of `table` that the first row names.

    Like the values of `each_of`, they are sent as one JSON parameter. So the text of the statement is always the same,
    and psycopg need not parse thousands of placeholders.
    """
    texts = [
        {name: _spelled(session, value) if isinstance(value, datetime) else value for name, value in row.items()}
        for row in rows
    ]
    array, columns = _json(texts), [table.__table__.c[name] for name in rows[0]]
    if on_sqlite(session):
        each = func.json_each(array).table_valued("value").c.value
        values = [type_coerce(func.json_extract(each, f"$.{one.name}"), one.type).label(one.name) for one in columns]
        # Without the WHERE, SQLite parses the ON of "ON CONFLICT" as the ON of a join (lang_upsert.html, section 2.2).
        return select(*values).where(true())
    typed = [column(one.name, one.type) for one in columns]
    records = func.json_to_recordset(cast(array, JSON)).table_valued(*typed).render_derived(with_types=True)
    return select(*records.c)


def _json(value: object) -> ColumnElement[str]:
    """Return a parameter that contains JSON.

    Its letters are not escaped: in a database with another encoding than UTF-8, PostgreSQL cannot read each escape.
    """
    return literal(json.dumps(value, ensure_ascii=False), String)


def _spelled(session: AsyncSession, moment: datetime) -> str:
    """Return a moment in UTC: with its zone for PostgreSQL, and without one for SQLite, which stores this text."""
    utc = moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return utc if on_sqlite(session) else f"{utc}+00"


async def insert_range(session: AsyncSession, table: type[Base], insert: sqlite.Insert | postgresql.Insert) -> Range:
    """Execute an INSERT and return the range of the ids of the new rows.

    Returning each id would take a third of the time that it takes to insert the rows.
    """
    key = table.__table__.c.id
    if on_sqlite(session):
        # Only this transaction writes, and each new id is the greatest one plus 1 (autoinc.html).
        before = await session.scalar(select(func.max(key))) or 0
        await session.execute(insert)
        last = await session.scalar(select(func.max(key))) or 0
        return Range(before + 1, last, last - before)
    made = insert.returning(key).cte()
    found = (await session.execute(select(func.min(made.c.id), func.max(made.c.id), func.count()))).one()
    return Range(found[0] or 0, found[1] or 0, found[2])


async def hold_against_writers(session: AsyncSession, table: type[Base]) -> None:
    """Wait until no other transaction writes to the table, and block new writers until this transaction ends.

    SQLite needs no such lock: it allows one writer at a time.
    """
    if not on_sqlite(session):
        await session.execute(text(f"LOCK TABLE {table.__tablename__} IN SHARE MODE"))


async def hold(session: AsyncSession, lock: int, *, shared: bool = False) -> None:
    """Hold a lock until the transaction ends: alone, or together with others that hold it as `shared`.

    SQLite needs no such lock: it allows one writer at a time.
    """
    if not on_sqlite(session):
        function = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        await session.execute(select(function(lock)))


def on_sqlite(session: AsyncSession) -> bool:
    """Return whether the session runs on SQLite; otherwise it runs on PostgreSQL."""
    return session.get_bind().dialect.name == "sqlite"
