"""Statements for many rows: however many rows, the texts that a connection prepares and keeps stay few and short."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import event

from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.services.leads import LeadGiven, put_leads
from admin_web.worker.decision_rows import put, row_of
from compliance import verdict
from compliance.numbers import E164, LeadId
from compliance.redis_records import decision_fields
from compliance.verdict import Decision, allow, block
from tests.support.projection import ADMIN, Undrained

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIZES = random.Random(3).sample(range(1, 1_000), 25)
MOST = 150_000
"""Characters in all texts together. With one text for each size they are 700,000 and more."""


@contextmanager
def prepared(database: Database) -> Iterator[set[str]]:
    """Collect the texts of all statements."""
    texts: set[str] = set()

    def note(connection, cursor, statement, *_: object) -> None:
        texts.add(statement)

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield texts
    event.remove(engine, "before_cursor_execute", note)


def rows(first: int, many: int, ruling=allow(verdict.NOT_LISTED)):  # noqa: B008
    for number in range(first, first + many):
        made = Decision(f"id-{number:08}", AT, ruling, "1", "+14155550100", "", f"pbx-1.{number}", 1, "gate")
        yield row_of({name.encode(): value.encode() for name, value in decision_fields(made).items()}, AT)


@pytest.mark.parametrize("ruling", [allow(verdict.NOT_LISTED), block(verdict.DEADLINE)])
async def test_batches_of_decisions_of_any_size(database: Database, ruling):
    if not database.on_sqlite:
        pytest.skip("PostgreSQL keeps no statement that was prepared once")
    async with database.write() as session:
        await put(session, [*rows(0, 1_000)])
    with prepared(database) as texts:
        for size in SIZES:
            async with database.write() as session:
                # BLOCKs correct the decisions that are there; others are new.
                await put(session, [*rows(0 if ruling.verdict == "BLOCK" else size * 1_000, size, ruling)])
    assert sum(map(len, texts)) < MOST


async def test_imports_of_leads_of_any_size(database: Database):
    if not database.on_sqlite:
        pytest.skip("PostgreSQL keeps no statement that was prepared once")
    with prepared(database) as texts:
        for size in SIZES:
            given = [LeadGiven(LeadId(f"{size}-{at}"), E164(f"+1415{size:03}{at:04}")) for at in range(size)]
            await put_leads(Records(database, Undrained()), ADMIN, given)
    assert sum(map(len, texts)) < MOST
