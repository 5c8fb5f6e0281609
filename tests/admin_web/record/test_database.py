"""Transactions on both databases: what readers see, what writers leave behind, and the messages of failures."""

import asyncio
import shutil
import socket
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import CONNECT_S, Database
from admin_web.record.database_faults import DatabaseUnavailable
from admin_web.record.models import Lead, ProjectionRow, Registry, RegistryExchange, RegistryVersion
from lab.process import free_port

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def lead(number: int) -> Lead:
    return Lead(id=f"L-{number}", number=f"+1415555{number:04d}", created_at=AT, created_by="test")


async def add(session: AsyncSession, number: int) -> None:
    session.add(lead(number))
    await session.flush()


async def count(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(Lead)) or 0


async def test_what_a_writer_commits_is_there_with_its_time_zone(database: Database):
    async with database.write() as session:
        session.add(lead(1))
    async with database.read() as session:
        assert (await session.scalars(select(Lead))).one().created_at == AT


async def test_a_block_that_raises_leaves_nothing(database: Database):
    async def fail_half_way() -> None:
        async with database.write() as session:
            await add(session, 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_half_way()
    assert await count(database) == 0


async def test_a_cancelled_writer_leaves_nothing_and_holds_nothing(database: Database):
    inside = asyncio.Event()

    async def writer() -> None:
        async with database.write() as session:
            await add(session, 1)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(writer())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.write() as session:
        await add(session, 2)
    assert await count(database) == 1


async def test_a_reader_sees_one_snapshot_while_others_write(database: Database):
    async with database.read() as reader:
        assert (await reader.scalars(select(Lead))).all() == []
        async with database.write() as writer:
            writer.add(lead(1))
        assert (await reader.scalars(select(Lead))).all() == []
    assert await count(database) == 1


async def test_a_reader_can_change_nothing(database: Database):
    async with database.read() as session:
        with pytest.raises(DBAPIError, match=r"read-?only"):
            await add(session, 1)
        await session.rollback()
    assert await count(database) == 0


async def test_writers_of_one_row_take_turns(database: Database):
    """Twenty tasks read a value, add one and write it back. No addition is lost."""

    async def add_one() -> None:
        async with database.write() as session:
            turn = await session.scalar(select(ProjectionRow.turn).with_for_update()) or 0
            await session.execute(text("UPDATE projection SET turn = :turn"), {"turn": turn + 1})

    await asyncio.gather(*(add_one() for _ in range(20)))
    async with database.read() as session:
        assert await session.scalar(text("SELECT turn FROM projection")) == 20


async def test_constraint_violations_keep_their_own_name(database: Database):
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            await session.execute(insert(Lead), [{"id": "L", "number": None, "created_at": AT, "created_by": "test"}])


async def test_foreign_keys_are_held(database: Database):
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            await session.execute(
                text(
                    "INSERT INTO suppression_entries"
                    " (list_name, number, source, lead_id, note, added_at, added_by)"
                    " VALUES ('internal', '+1', '', 'nobody', '', '2026-01-01', '')"
                )
            )


async def test_foreign_keys_are_held_again_after_a_migration(database: Database):
    async with database.alter():
        pass
    await test_foreign_keys_are_held(database)


async def test_rows_stream_in_order(database: Database):
    async with database.write() as session:
        session.add_all(lead(number) for number in range(2500))
    statement = select(Lead.id).order_by(Lead.number).execution_options(yield_per=100)
    async with database.read() as session:
        seen = [name async for name in await session.stream_scalars(statement)]
    assert seen == [f"L-{number}" for number in range(2500)]


async def test_sqlite_keeps_every_commit_through_a_power_cut(tmp_path):
    async with Database(f"sqlite:///{tmp_path / 'x.sqlite3'}") as database, database.read() as session:
        assert await session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert await session.scalar(text("PRAGMA synchronous")) == 2


async def test_a_lock_held_too_long_is_said_in_one_line(database: Database, database_url: str):
    async with Database(database_url, lock_s=0.2) as impatient, database.write() as holder:
        await holder.execute(text("UPDATE projection SET turn = 1"))
        with pytest.raises(DatabaseUnavailable, match="try again"):
            async with impatient.write() as session:
                await session.execute(text("UPDATE projection SET turn = 2"))


async def refused(url: str) -> str:
    async with Database(url) as database:
        with pytest.raises(DatabaseUnavailable) as caught:
            async with database.read() as session:
                await session.execute(text("SELECT 1"))
    return str(caught.value)


async def test_an_unreachable_postgres_is_named_without_its_password():
    said = await refused(f"postgresql://dnc:s3cr%2Ft@127.0.0.1:{free_port()}/dnc")
    assert "database dnc on 127.0.0.1" in said
    assert "DNC_DATABASE_URL" in said
    assert "s3cr" not in said
    assert "database a on 127.0.0.1" in await refused(f"postgresql://dnc:a@127.0.0.1:{free_port()}/a")
    assert "\n" not in said


async def test_a_postgres_that_accepts_and_never_answers_is_given_up_in_seconds():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        loop = asyncio.get_running_loop()
        started = loop.time()
        said = await refused(f"postgresql://dnc:hush@127.0.0.1:{silent.getsockname()[1]}/dnc")
        assert loop.time() - started < 2 * CONNECT_S
        assert "hush" not in said


@pytest.mark.postgres
async def test_a_missing_postgres_database_is_named(postgres_server):
    assert 'database "nowhere" does not exist' in await refused(postgres_server.url("nowhere"))


@pytest.mark.postgres
async def test_postgres_is_found_again_after_a_restart(postgres_server):
    url = postgres_server.create_database("restarted")
    async with Database(url) as database:
        async with database.read() as session:
            assert await session.scalar(text("SELECT 1")) == 1
        postgres_server.stop()
        try:
            with pytest.raises(DatabaseUnavailable):
                async with database.read() as session:
                    await session.execute(text("SELECT 1"))
        finally:
            postgres_server.start()
        async with database.read() as session:
            assert await session.scalar(text("SELECT 1")) == 1


@pytest.mark.postgres
async def test_a_restart_of_postgres_between_two_transactions_is_not_even_noticed(postgres_server):
    async with Database(postgres_server.create_database("restarted_between")) as database:
        async with database.read() as session:
            await session.execute(text("SELECT 1"))
        postgres_server.stop()
        postgres_server.start()
        async with database.read() as session:
            assert await session.scalar(text("SELECT 1")) == 1


async def test_an_sqlite_file_in_no_directory_is_named(tmp_path):
    said = await refused(f"sqlite:///{tmp_path}/missing/dnc.sqlite3")
    assert f"{tmp_path}/missing/dnc.sqlite3" in said
    assert "DNC_DATA_DIR" in said


def restore(path: Path, backup: Path) -> None:
    """Put a backup in the place of an SQLite file, as an operator does: without its log."""
    for file in path.parent.glob(f"{path.name}*"):
        if file != backup:
            file.unlink()
    shutil.copy(backup, path)


@pytest.fixture
def path(sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sqlite_template, tmp_path / "dnc.db"))


async def test_an_sqlite_file_that_is_replaced_is_opened_anew(path: Path, sqlite_template: Path):
    async with Database(f"sqlite:///{path}") as database:
        async with database.read() as one, database.read() as other:  # Two connections, both of the old file.
            await asyncio.gather(one.execute(text("SELECT 1")), other.execute(text("SELECT 1")))
        async with database.write() as session:
            await add(session, 1)
        restore(path, sqlite_template)
        async with database.read() as one, database.read() as other:
            for session in (one, other):
                assert await session.scalar(select(func.count()).select_from(Lead)) == 0
        async with database.write() as session:
            await add(session, 2)
    async with Database(f"sqlite:///{path}") as database:
        assert await count(database) == 1, "what was written since is in the new file"


async def test_nothing_is_committed_to_an_sqlite_file_that_was_replaced_meanwhile(path: Path, sqlite_template: Path):
    async with Database(f"sqlite:///{path}") as database:

        async def write() -> None:
            async with database.write() as session:
                await add(session, 1)
                restore(path, sqlite_template)

        with pytest.raises(DatabaseUnavailable, match="the file was replaced; nothing was changed"):
            await write()
        assert await count(database) == 0


async def test_an_sqlite_file_that_is_gone_is_not_created_anew(path: Path):
    async with Database(f"sqlite:///{path}") as database:
        assert await count(database) == 0
        await asyncio.to_thread(path.rename, path.with_suffix(".away"))
        with pytest.raises(DatabaseUnavailable, match="the file cannot be opened"):
            await count(database)
        await asyncio.to_thread(path.with_suffix(".away").rename, path)
        assert await count(database) == 0


async def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear sir or madam, " * 100)
    assert "not an SQLite database" in await refused(f"sqlite:///{tmp_path}/letter.txt")


async def test_a_damaged_sqlite_file_is_named(tmp_path):
    path = tmp_path / "damaged.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE projection (id INTEGER)")
    connection.close()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)
    async with Database(f"sqlite:///{path}") as database:
        with pytest.raises(DatabaseUnavailable, match="malformed"):
            async with database.read() as session:
                await session.execute(text("SELECT * FROM projection"))


async def test_the_planner_is_told_how_large_the_tables_are(database: Database):
    async with database.write() as session:
        await session.execute(text("INSERT INTO sign_in_buckets VALUES ('a', 1, '2026-03-01 12:00:00')"))
    await database.analyze()
    await database.analyze()
    if database.on_sqlite:
        async with database.read() as session:
            noted = await session.execute(text("SELECT stat FROM sqlite_stat1 WHERE tbl = 'sign_in_buckets'"))
            assert noted.scalar_one().startswith("1 ")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL estimates from the pages of a table.
async def test_a_registry_that_was_small_is_never_scanned_for_each_row_of_one_that_is_large(database: Database):
    async with database.write() as session:
        session.add(Registry(name="us-ftc", country="US", area_codes=[], created_at=AT, created_by="test"))
        await session.flush()
        session.add(
            RegistryVersion(
                id=1,
                registry_name="us-ftc",
                obtained_at=AT,
                file_name="",
                file_sha256="",
                imported_at=AT,
                imported_by="",
            )
        )
        await session.flush()
        session.add(RegistryExchange(version_id=1, exchange="1202555", lines=b"\0\1"))
    await database.analyze()
    joined = (
        "EXPLAIN QUERY PLAN SELECT new.lines, old.lines FROM registry_exchanges new LEFT JOIN registry_exchanges old"
        " ON old.version_id = 1 AND old.exchange = new.exchange WHERE new.version_id = 2"
    )
    async with database.read() as session:
        plan = [row[3] for row in await session.execute(text(joined))]
    assert [step.split()[0] for step in plan] == ["SEARCH", "SEARCH"], plan
