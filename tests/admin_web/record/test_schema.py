"""The migrations create the tables of the models, on both databases."""

import asyncio
from datetime import UTC, date, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, MetaData, Table, inspect, literal_column, select, text

from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.record.database_faults import DatabaseUnavailable
from admin_web.record.migrations.versions.r0012_large_imports import RANGES
from admin_web.record.models import (
    ApiToken,
    Base,
    DecisionRecord,
    DoNotCallRequest,
    ListImport,
    Override,
    ProjectionRow,
    SuppressionEntry,
    User,
)
from admin_web.record.schema import SchemaMismatch, go_back, migrate, newest, require_current
from admin_web.services.undoing import undo_import
from lab.postgres import PostgresServer
from tests.support.records import ADMIN, FakeProjector, rows


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))


async def test_the_migrated_tables_are_those_of_the_models(database: Database):
    async with database.read() as session:
        assert await (await session.connection()).run_sync(differences) == []


async def test_a_missing_column_would_be_noticed(database: Database):
    async with database.alter() as connection:
        await connection.execute(text("ALTER TABLE leads DROP COLUMN name"))
    async with database.read() as session:
        assert await (await session.connection()).run_sync(differences) != []


async def test_going_back_and_forth_ends_at_the_same_tables(database: Database):
    await go_back(database, "base")
    with pytest.raises(SchemaMismatch, match="dnc-admin migrate"):
        await require_current(database)
    await migrate(database)
    await require_current(database)
    async with database.read() as session:
        assert await (await session.connection()).run_sync(differences) == []


async def test_decisions_of_before_campaigns_have_none(database: Database):
    await go_back(database, "0004")
    old = {
        "id": "1", "at": "2026-03-01 12:00:00", "verdict": "ALLOW", "reason": "not-listed", "detail": "",
        "override": "", "number": "+14155550100", "dialed": "4155550100", "lead": "", "channel": "pbx-1.1",
        "generation": "7", "gate": "g", "archived_at": "2026-03-01 12:00:01",
    }  # fmt: skip
    table = Table("decisions", MetaData(), *(Column(name) for name in old))
    async with database.alter() as connection:
        await connection.execute(table.insert().values({name: literal_column(f"'{old[name]}'") for name in old}))
    await migrate(database)
    async with database.read() as session:
        assert [(row.id, row.campaign) for row in await session.scalars(select(DecisionRecord))] == [("1", "")]


SUPPRESSED = """
    INSERT INTO suppression_entries (list_name, number, source, note, added_at, added_by, lifted_at)
    VALUES ('internal', '+14155550100', 'ivr', 'asked', '2026-03-01 23:30:00', 'token:crm', NULL),
           ('internal', '+14155550101', 'import', '', '2026-03-01 12:00:00', 'admin', NULL),
           ('internal', '+14155550102', 'switch', '', '2026-02-01 12:00:00', 'agent', '2026-02-02 12:00:00')
"""
OPENED = """
    INSERT INTO overrides (lead_id, number, basis, basis_note, consented_on, document_id, attestation, placed_at,
                           placed_by, placed_from, expires_at)
    VALUES ('L-1', '+14155550100', 'other', '', '2026-02-27', 1, '', '2026-02-28 12:00:00', 'x', '', '2999-01-01'),
           ('L-1', '+14155550101', 'other', '', '2026-02-27', 1, '', '2026-02-28 12:00:00', 'x', '', '2999-01-01'),
           ('L-1', '+14155550102', 'other', '', '2026-02-27', 1, '', '2026-02-20 12:00:00', 'x', '', '2999-01-01')
"""


async def test_entries_that_people_asked_for_become_requests_at_the_upgrade(database: Database):
    """The first override breaks the order: its owner asked later. The third was placed before its consent."""
    await go_back(database, "0005")
    async with database.alter() as connection:
        for statement in (
            SUPPRESSED,
            (
                "INSERT INTO leads (id, name, name_folded, number, queued, last_called_at, created_at, created_by) "
                "VALUES ('L-1', '', '', '+14155550100', true, '1970-01-01', '2026-01-01', 'x')"
            ),
            (
                "INSERT INTO documents (sha256, name, media_type, size, stored_at, stored_by) "
                "VALUES ('ab', 'a', 'x/y', 1, '2026-01-01', 'x')"
            ),
            OPENED,
        ):
            await connection.execute(text(statement))
    await migrate(database)
    async with database.read() as session:
        requests = await session.scalars(select(DoNotCallRequest).order_by(DoNotCallRequest.id))
        assert [(one.number, one.asked_on, one.source, one.note, one.recorded_by) for one in requests] == [
            ("+14155550100", date(2026, 3, 1), "ivr", "asked", "token:crm"),
            ("+14155550102", date(2026, 2, 1), "switch", "", "agent"),
        ]
        overrides = list(await session.scalars(select(Override).order_by(Override.id)))
        assert [one.counts_from for one in overrides] == [date(2026, 2, 27), date(2026, 2, 27), date(2026, 2, 20)]
        contested = list(await session.scalars(select(Override.number).where(Override.contested())))
        assert contested == ["+14155550100"]


IMPORTS = """
    INSERT INTO list_imports (list_name, file_name, note, imported_at, imported_by)
    VALUES ('internal', 'a.csv', 'a', '2026-03-01 12:00:00', 'admin'),
           ('internal', 'b.csv', 'b', '2026-03-01 12:00:00', 'admin'),
           ('internal', 'c.csv', 'c', '2026-03-01 12:00:00', 'admin')
"""
IMPORTED = """
    INSERT INTO suppression_entries (list_name, number, source, note, added_at, added_by, lifted_at, import_id)
    VALUES ('internal', '+14155550100', 'import', 'a', '2026-03-01 12:00:00', 'admin', '2026-03-02 12:00:00', 1),
           ('internal', '+14155550101', 'ivr', 'asked', '2026-03-01 12:00:00', 'token:crm', NULL, NULL),
           ('internal', '+14155550102', 'import', 'b', '2026-03-01 12:00:00', 'admin', NULL, 2),
           ('internal', '+14155550103', 'import', 'a', '2026-03-01 12:00:00', 'admin', NULL, 1),
           ('internal', '+14155550104', 'import', 'b', '2026-03-01 12:00:00', 'admin', NULL, 2)
"""


async def test_imports_of_before_get_the_range_of_their_entries_and_can_be_undone(database: Database):
    """Two of them ran at once, and the third found every number on the list."""
    await go_back(database, "0011")
    async with database.alter() as connection:
        for statement in (IMPORTS, IMPORTED):
            await connection.execute(text(statement))
    await migrate(database)
    records = Records(database, FakeProjector())
    ranges = [(one.first_entry, one.last_entry, one.ended_at) for one in await rows(records, ListImport)]
    ended = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert ranges == [(1, 4, ended), (3, 5, ended), (None, None, ended)]
    assert [(await undo_import(records, ADMIN, one, reason="x")).lifted for one in (1, 2, 3)] == [1, 2, 0]
    assert [one.number for one in await rows(records, SuppressionEntry) if one.lifted_at is None] == ["+14155550101"]


async def test_the_ranges_of_imports_are_filled_in_one_pass_over_the_entries(database: Database):
    """Many imports of many entries would otherwise take hours."""
    async with database.read() as session:
        plan = "EXPLAIN QUERY PLAN " if database.on_sqlite else "EXPLAIN "
        steps = [str(row).lower() for row in await session.execute(text(f"{plan}{RANGES}"))]
    assert not [step for step in steps if "subplan" in step or "correlated" in step], steps


PERSON = """
    INSERT INTO users (name, full_name, role, extension, password_hash, totp_last_step, created_at, created_by)
    VALUES ('admin', '', 'admin', '', 'x', 0, '2026-01-01', 'shell:root')
"""
TOKEN = """
    INSERT INTO api_tokens (name, token_hash, scopes, created_at, created_by)
    VALUES ('crm', 'x', '["read"]', '2026-01-01', 'admin')
"""


async def test_passwords_and_tokens_of_before_they_had_an_end_have_none_after_the_upgrade(database: Database):
    await go_back(database, "0013")
    async with database.alter() as connection:
        await connection.execute(text(PERSON))
        await connection.execute(text(TOKEN))
    await migrate(database)
    async with database.read() as session:
        assert await session.scalar(select(User.password_until)) is None
        token = (await session.scalars(select(ApiToken))).one()
    assert token.is_good(datetime(2999, 1, 1, tzinfo=UTC))
    assert (token.responsible, token.addresses, token.per_minute) == (None, "", None)


async def test_the_projection_has_its_one_row_at_turn_nought(database: Database):
    async with database.read() as session:
        row = (await session.scalars(select(ProjectionRow))).one()
    assert (row.id, row.turn, row.generation, row.building) == (1, 0, 0, None)


async def test_migrating_again_changes_nothing(database: Database):
    assert await migrate(database) == newest()
    async with database.read() as session:
        assert len((await session.scalars(select(ProjectionRow))).all()) == 1


async def test_older_and_newer_tables_are_refused_with_what_to_do(database: Database):
    async with database.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match=r"9999.* newer .*update this program"):
        await require_current(database)


async def test_tables_without_migration_are_named_by_the_first_query(database: Database):
    await go_back(database, "base")
    with pytest.raises(DatabaseUnavailable, match="dnc-admin migrate"):
        async with database.read() as session:
            await session.scalars(select(ProjectionRow))


async def four_at_once(url: str) -> None:
    databases = [Database(url) for _ in range(4)]
    await asyncio.gather(*(migrate(database) for database in databases))
    async with databases[0].read() as session:
        assert len((await session.scalars(select(ProjectionRow))).all()) == 1
    for database in databases:
        await database.close()


async def test_four_migrations_at_once_of_a_new_file_make_one_set_of_tables(tmp_path):
    await four_at_once(f"sqlite:///{tmp_path / 'new' / 'dnc.sqlite3'}")


@pytest.mark.postgres
async def test_four_migrations_at_once_of_a_new_postgres_make_one_set_of_tables(
    postgres_server: PostgresServer,
):
    await four_at_once(postgres_server.create_database("four_at_once"))


def constraint_names(connection: Connection) -> set[str | None]:
    reflected = inspect(connection)
    names: set[str | None] = set()
    for table in Base.metadata.tables:
        names.add(reflected.get_pk_constraint(table)["name"])
        for found in (
            reflected.get_check_constraints(table),
            reflected.get_foreign_keys(table),
            reflected.get_unique_constraints(table),
        ):
            names |= {constraint["name"] for constraint in found}
    return names


async def test_constraints_bear_the_names_of_the_models(database: Database):
    """Alembic does not compare names, but a later revision needs the name to change a constraint."""
    wanted = {str(constraint.name) for table in Base.metadata.tables.values() for constraint in table.constraints}
    async with database.read() as session:
        found = await (await session.connection()).run_sync(constraint_names)
    assert found == wanted
