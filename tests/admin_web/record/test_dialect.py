"""Values that a statement takes as one JSON parameter: they arrive as they were, whatever the database's encoding."""

from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database
from admin_web.record.dialect import each_moment, each_of, each_row
from admin_web.record.models import DecisionRecord
from lab.postgres import PostgresServer

TEXTS = ["", "plain", "Zoë", "\x01\x7f\t\n", 'a "quoted" \\u0041', "é"]
ELSEWHERE = [*TEXTS, "王小明", "\ufffd", "😀"]
"""Texts that not every encoding has."""

MOMENTS = [datetime.min.replace(tzinfo=UTC), datetime(999, 1, 2, tzinfo=UTC), datetime(2026, 3, 1, 12, 0, 0, 5, UTC)]


async def require_unchanged(session: AsyncSession, texts: list[str]) -> None:
    assert list(await session.scalars(select(each_of(session, texts)))) == texts
    key, moment = each_moment(session, dict.fromkeys(texts, MOMENTS[-1]))
    assert [tuple(row) for row in await session.execute(select(key, moment))] == [(text, MOMENTS[-1]) for text in texts]
    rows = [{"id": text, "generation": 2**63 - 1, "at": MOMENTS[-1]} for text in texts]
    found = (await session.execute(each_row(session, DecisionRecord, rows))).mappings()
    assert [dict(row) for row in found] == rows


async def test_texts_numbers_and_moments_arrive_as_they_were(database: Database):
    async with database.read() as session:
        await require_unchanged(session, ELSEWHERE)


async def test_moments_of_any_year_arrive_as_they_were(database: Database):
    async with database.read() as session:
        _, moment = each_moment(session, {str(at): at for at in MOMENTS})
        assert list(await session.scalars(select(moment))) == MOMENTS


@pytest.mark.postgres
@pytest.mark.parametrize(("encoding", "texts"), [("SQL_ASCII", ELSEWHERE), ("LATIN1", TEXTS)])
async def test_texts_arrive_as_they_were_in_a_database_of_another_encoding(
    postgres_server: PostgresServer, encoding: str, texts: list[str]
):
    name = f"in_{encoding.lower()}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        async with Database(postgres_server.url(name)) as database, database.read() as session:
            await require_unchanged(session, texts)
    finally:
        postgres_server.drop_database(name)
