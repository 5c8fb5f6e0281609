"""What the tests on real engines may ask for: a migrated system of record, on SQLite and on PostgreSQL."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.record.schema import migrate
from lab.cluster import RedisCluster
from lab.postgres import PostgresServer
from lab.process import NotInstalled
from lab.redis import RedisServer
from tests.conftest import unavailable
from tests.records import Clock, FakeProjector
from tests.site import Site, settings_of
from tests.yard import Yard

TEMPLATE = "migrated"
_numbers = count(1)


async def _migrated(url: str) -> None:
    async with Database(url) as database:
        await migrate(database)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One cluster for all tests, with a migrated database to copy. Its tests may lose data in a power cut."""
    with tempfile.TemporaryDirectory(prefix="dnc-pg-", ignore_cleanup_errors=True) as directory:
        server = PostgresServer(Path(directory), fsync=False)
        try:
            server.start()
        except NotInstalled as error:
            unavailable(error)
        asyncio.run(_migrated(server.create_database(TEMPLATE)))
        yield server
        server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.sqlite3"
    asyncio.run(_migrated(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated, empty database of this test alone."""
    if request.param == "sqlite":
        copy = shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "dnc.sqlite3")
        yield f"sqlite:///{copy}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"test_{next(_numbers)}"
    yield server.create_database(name, TEMPLATE)
    server.drop_database(name)


@pytest.fixture
def cluster(short_path: Path) -> Iterator[RedisCluster]:
    """A Redis Cluster of this test alone."""
    cluster = RedisCluster(short_path / "r")
    try:
        cluster.start()
        yield cluster
    except NotInstalled as error:
        unavailable(error)
    finally:
        cluster.stop()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated, empty system of record of this test alone."""
    async with Database(database_url) as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at 1 March 2026, noon."""
    return Clock()


@pytest.fixture
def projector() -> FakeProjector:
    """A projection that only counts."""
    return FakeProjector()


@pytest.fixture
def records(database: Database, projector: FakeProjector, clock: Clock) -> Records:
    """The record, with a projection and a clock of this test alone."""
    return Records(database, projector, clock)


@pytest.fixture
async def site(database_url: str, redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Site]:
    """The site of this test alone, with its projection in force."""
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data")) as site:
        await site.projection.rebuild()
        yield site


@pytest.fixture
async def yard(
    database: Database, database_url: str, redis_server: RedisServer, short_path: Path
) -> AsyncIterator[Yard]:
    async with Yard(database, redis_server, database_url, short_path) as yard:
        await yard.projection.rebuild()
        yield yard
        for worker in yard.workers:
            worker.kill()
        yard.sql.dispose()
