"""PostgreSQL behind PgBouncer, and in a schema and a role of its own: everything works as on a direct connection."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.schema import migrate, require_current
from lab.pgbouncer import PgBouncer
from lab.postgres import PostgresServer
from lab.process import NotInstalled
from tests.conftest import TEMPLATE, unavailable

pytestmark = pytest.mark.postgres

MODES = ("session", "transaction")
POOLS = {"session": ("session", 20), "transaction": ("transaction", 3), "full": ("session", 1)}
"""Databases, each with the mode and the size of its pool."""

OURS = {"lock_timeout": "5s", "TimeZone": "UTC", "plan_cache_mode": "force_custom_plan"}


@pytest.fixture(scope="module")
def pooler(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    with tempfile.TemporaryDirectory(prefix="dnc-pb-", ignore_cleanup_errors=True) as directory:
        bouncer = PgBouncer(Path(directory), postgres_server)
        for name in POOLS:
            postgres_server.create_database(name, TEMPLATE)
        try:
            yield bouncer.start(POOLS)
        except NotInstalled as error:
            unavailable(error)
        finally:
            bouncer.stop()
            for name in POOLS:
                postgres_server.drop_database(name)


@pytest.fixture(params=MODES)
async def pooled(request: pytest.FixtureRequest, pooler: PgBouncer) -> AsyncIterator[Database]:
    async with Database(pooler.url(request.param)) as database:
        yield database


async def settings_of(database: Database) -> dict[str, str]:
    async with database.read() as session:
        return {name: await session.scalar(text(f"SHOW {name}")) for name in OURS}


async def test_every_transaction_has_our_settings(pooled: Database):
    found = await asyncio.gather(*(settings_of(pooled) for _ in range(8)))
    assert found == [OURS] * 8


async def test_our_settings_do_not_reach_the_other_clients_of_the_pooler(pooled: Database, pooler: PgBouncer):
    await settings_of(pooled)
    url = pooler.url(pooled.url.database)
    opened = [await psycopg.AsyncConnection.connect(url) for _ in range(3)]
    for other in opened:
        found = await (await other.execute("SHOW lock_timeout")).fetchone()
        assert found == ("0",)
    for other in opened:
        await other.close()


async def test_a_statement_may_run_often_and_on_every_connection(pooled: Database):
    async def often() -> None:
        for number in range(12):
            async with pooled.read() as session:
                assert await session.scalar(text("SELECT CAST(:number AS integer)"), {"number": number}) == number

    await asyncio.gather(*(often() for _ in range(4)))


async def test_migrations_and_their_lock_work(pooled: Database, pooler: PgBouncer):
    async with Database(pooler.url(pooled.url.database)) as other:
        await asyncio.gather(migrate(pooled), migrate(other))
    await require_current(pooled)


async def test_an_advisory_lock_ends_with_its_transaction(pooled: Database):
    lock = text("SELECT pg_try_advisory_xact_lock(7)")
    async with pooled.write() as one, pooled.write() as other:
        assert (await one.scalar(lock), await other.scalar(lock)) == (True, False)
    async with pooled.write() as third:
        assert await third.scalar(lock)


async def test_a_reader_sees_one_snapshot_and_changes_nothing(pooled: Database):
    async with pooled.read() as session:
        assert await session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
        assert await session.scalar(text("SHOW transaction_read_only")) == "on"


async def test_a_pooler_without_a_free_connection_is_given_up_in_seconds(
    pooler: PgBouncer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("admin_web.record.database.CONNECT_S", 1)
    url = f"{pooler.url('full')}?connect_timeout=2"
    with psycopg.connect(url) as holder:
        holder.execute("SELECT 1")
        async with Database(url) as database:
            with pytest.raises(DatabaseUnavailable, match="has no free connection"):
                await require_current(database)


async def test_options_that_a_pooler_refuses_are_explained_in_one_line(pooler: PgBouncer):
    async with Database(f"{pooler.url('session')}?options=-csearch_path%3Ddnc") as database:
        with pytest.raises(DatabaseUnavailable, match=r"the pooler accepts no options; .* ALTER ROLE") as caught:
            await require_current(database)
    assert "\n" not in str(caught.value)


@pytest.fixture
def own_schema(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database in which the role app owns the schema dnc, and has no right in public."""
    url = postgres_server.create_database("own_schema")
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        admin.execute("CREATE ROLE app LOGIN")
        admin.execute("CREATE SCHEMA dnc AUTHORIZATION app")
    yield url.replace("//dnc@", "//app@")
    postgres_server.drop_database("own_schema")
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute("DROP ROLE app")


@pytest.mark.parametrize("by", ["options", "role"])
async def test_a_role_with_a_schema_of_its_own_has_every_table_there(
    own_schema: str, postgres_server: PostgresServer, by: str
):
    with psycopg.connect(postgres_server.url("own_schema"), autocommit=True) as admin:
        if by == "role":
            admin.execute("ALTER ROLE app SET search_path = dnc")
        async with Database(f"{own_schema}?options=-csearch_path%3Ddnc" if by == "options" else own_schema) as database:
            await migrate(database)
            await require_current(database)
            assert (await settings_of(database)) == OURS
        tables = "SELECT schemaname, count(*) FROM pg_tables WHERE schemaname IN ('public', 'dnc') GROUP BY 1"
        ((schema, count),) = admin.execute(tables).fetchall()
    assert schema == "dnc"
    assert count > 20


async def test_a_role_that_may_create_no_table_is_told_so(own_schema: str):
    async with Database(own_schema) as database:
        with pytest.raises(DatabaseUnavailable, match="may not create tables in any schema"):
            await migrate(database)


async def test_the_operators_parameters_win_over_our_defaults(postgres_server: PostgresServer):
    url = f"{postgres_server.url()}?application_name=crm&options=-cstatement_timeout%3D7s"
    async with Database(url) as database, database.read() as session:
        assert await session.scalar(text("SHOW application_name")) == "crm"
        assert await session.scalar(text("SHOW statement_timeout")) == "7s"
        assert await session.scalar(text("SHOW lock_timeout")) == "5s"


@pytest.mark.parametrize("named_by", ["server", "environment"])
async def test_every_name_is_read_as_it_was_written_whatever_the_encoding_is_elsewhere(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, named_by: str
):
    name, url = "encoded", postgres_server.url()
    if named_by == "environment":
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    else:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        url = postgres_server.url(name)
    try:
        async with Database(url) as database, database.read() as session:
            for text_of_a_person in ("Zoë", "王小明"):
                found = await session.scalar(text("SELECT CAST(:said AS text)"), {"said": text_of_a_person})
                assert found == text_of_a_person
    finally:
        postgres_server.drop_database(name)


@pytest.mark.parametrize("form", ["socket", "hosts", "service", "sqlalchemy"])
async def test_a_server_is_reached_in_every_way_that_libpq_knows(
    postgres_server: PostgresServer, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    port, directory = postgres_server.port, str(postgres_server.directory.resolve())
    (tmp_path / "services").write_text(f"[crm]\nhost=127.0.0.1\nport={port}\nuser=dnc\ndbname=postgres\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    urls = {
        "socket": f"postgresql://dnc@/postgres?host={directory}&port={port}",
        "hosts": f"postgres://dnc@127.0.0.1:1,127.0.0.1:{port}/postgres?target_session_attrs=read-write",
        "service": "postgresql:///?service=crm",
        "sqlalchemy": f"postgresql+psycopg://dnc@127.0.0.1:{port}/postgres",
    }
    async with Database(urls[form]) as database, database.read() as session:
        assert await session.scalar(text("SELECT current_database()")) == "postgres"
