"""The things that SQLite and PostgreSQL spell differently."""

import json
from collections.abc import Collection

from sqlalchemy import JSON, ColumnElement, String, cast, func, literal, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.models import Base


def insert_into(session: AsyncSession, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Begin an INSERT that knows ON CONFLICT."""
    return sqlite.insert(table) if on_sqlite(session) else postgresql.insert(table)


def each_of(session: AsyncSession, values: Collection[str]) -> ColumnElement[str]:
    """Give a column that holds each of `values` in their order: one parameter, however many they are."""
    array = literal(json.dumps(list(values)), String)
    if on_sqlite(session):
        return func.json_each(array).table_valued("value").c.value
    return func.json_array_elements_text(cast(array, JSON)).table_valued("value").c.value


async def hold_against_writers(session: AsyncSession, table: type[Base]) -> None:
    """Wait until nobody writes to a table, and let nobody begin before this transaction ends.

    On SQLite whoever writes holds everybody else off anyway.
    """
    if not on_sqlite(session):
        await session.execute(text(f"LOCK TABLE {table.__tablename__} IN SHARE MODE"))


def on_sqlite(session: AsyncSession) -> bool:
    """Tell SQLite from PostgreSQL."""
    return session.get_bind().dialect.name == "sqlite"
