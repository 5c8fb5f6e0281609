"""Fixtures for every test: a real Redis, and a migrated system of record on SQLite and on PostgreSQL."""

import asyncio
import gc
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings
from sqlalchemy.ext.asyncio import create_async_engine

from admin_web.people import passwords
from admin_web.projection import sweep
from admin_web.record import database as database_module
from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.record.schema import migrate
from lab.cluster import RedisCluster
from lab.postgres import PostgresServer
from lab.process import NotInstalled
from lab.redis import RedisServer
from tests.support.alone import turn_of
from tests.support.distribution import SharedFixturesTogether, in_order, quick
from tests.support.programs import fork_servers
from tests.support.rebuilt import FirstRebuild
from tests.support.records import Clock, FakeProjector
from tests.support.reuse import CompiledStatements, DatabasePool, RedisPool
from tests.support.site import Site, settings_of
from tests.support.workers import WorkerStack

TEMPLATE = "migrated"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests in the order in which they begin; with `--quick`, leave the slow ones out."""
    if config.getoption("--quick"):
        chosen = list(quick(items))
        config.hook.pytest_deselected(items=[*set(items).difference(chosen)])
        items[:] = chosen
    items[:] = in_order(items)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--quick` and `--long`."""
    parser.addoption(
        "--quick", action="store_true", help="run short tests that need no engine but Redis, few cases of each"
    )
    parser.addoption("--long", action="store_true", help="run storms and random examples ten times as long, at random")


def pytest_configure(config: pytest.Config) -> None:
    """Set how many examples Hypothesis tries: a few, the same in each run, unless `--long` was given."""
    long = config.getoption("--long")
    # Time limits of Hypothesis measure the machine, not the product: a busy neighbour would fail a test that is right.
    slow = [HealthCheck.too_slow]
    settings.register_profile("short", max_examples=60, derandomize=True, deadline=None, suppress_health_check=slow)
    settings.register_profile("long", max_examples=1000, deadline=None, suppress_health_check=slow)
    settings.load_profile("long" if long else "short")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exempt the modules and tests from garbage collection: nearly all of these objects live to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long `.ci/run` took, above the last line, which counts the tests."""
    if began := os.environ.get("CI_BEGAN"):
        terminalreporter.write_line(f".ci/run took {time.time() - float(began):.0f} s.")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether `--long` was given."""
    return request.config.getoption("--long")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharedFixturesTogether | None:
    """Distribute tests by `tests/support/distribution.py`, unless another mode than `--dist loadscope` is chosen."""
    return SharedFixturesTogether(config, log) if config.getoption("dist") == "loadscope" else None


def unavailable(error: NotInstalled) -> NoReturn:
    """Fail the test in CI because an engine is missing. Elsewhere, skip it; the reason names the package."""
    if os.environ.get("CI"):
        pytest.fail(str(error))
    pytest.skip(str(error))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that is marked `alone` wait until no other test or fixture runs, and the others wait for it."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return (yield)
    run = Path(item.config.getoption("basetemp")).parent  # pytest-xdist has set the worker's own directory in it
    with turn_of(run / "turn", alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def forked_programs() -> Iterator[None]:
    """Fork the product's programs during the tests, instead of starting them anew."""
    with fork_servers():
        yield


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a unix socket's name."""
    with tempfile.TemporaryDirectory(prefix="dnc-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def redis_pool() -> Iterator[RedisPool]:
    """The Redis that tests use one after the other."""
    pool = RedisPool()
    yield pool
    pool.close()


@pytest.fixture
def redis_server(redis_pool: RedisPool) -> RedisServer:
    """An empty Redis that no other test uses at the same time, with the append-only file on."""
    try:
        return redis_pool.lend()
    except NotInstalled as error:
        unavailable(error)


async def _migrated(url: str) -> None:
    async with Database(url) as database:
        await migrate(database)


@pytest.fixture(scope="session", autouse=True)
def compiled_statements() -> Iterator[None]:
    """Compile each SQL statement once in a session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_module, "create_async_engine", CompiledStatements().sharing(create_async_engine))
        yield


@pytest.fixture(scope="session", autouse=True)
def password_hasher() -> Iterator[PasswordHasher]:
    """Hash passwords cheaply; yield the hasher of the product."""
    with pytest.MonkeyPatch.context() as patch:
        before = passwords._HASHER
        patch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield before


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL cluster for all tests, with a migrated database to copy. It does not survive a power cut."""
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


@pytest.fixture(scope="session")
def database_pool(postgres_server: PostgresServer) -> DatabasePool:
    """The database that tests use one after the other."""
    return DatabasePool(postgres_server, TEMPLATE)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated, empty database that no other test uses at the same time."""
    if request.param == "sqlite":
        copy = shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "dnc.sqlite3")
        return f"sqlite:///{copy}"
    pool: DatabasePool = request.getfixturevalue("database_pool")
    return pool.lend()


@pytest.fixture
def cluster(short_path: Path) -> Iterator[RedisCluster]:
    """A Redis Cluster for this test alone."""
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
    """A migrated, empty system of record for this test alone."""
    async with Database(database_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def file_mode_mask() -> Iterator[None]:
    """Restore the process's umask: a command that a test runs in its own process makes new files private."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def default_log() -> Iterator[None]:
    """Restore the log: a command that a test runs in its own process sets its own level and handlers."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a sweep in the test's own process begin soon: no call is under way. Other processes keep their grace."""
    monkeypatch.setattr(sweep, "GRACE_S", 0.02)


@pytest.fixture(autouse=True)
def patient_banner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no page of the test's own process show a banner because a busy machine delayed an answer of Redis."""
    monkeypatch.setattr("admin_web.queries.alarm.PATIENCE_S", 20.0)


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
    """The record, with a projection and a clock for this test alone."""
    return Records(database, projector, clock)


@pytest.fixture(scope="session")
def first_rebuild() -> FirstRebuild:
    """The rebuild that is repeated for each test."""
    return FirstRebuild()


@pytest.fixture
async def site(
    database_url: str, redis_server: RedisServer, tmp_path: Path, first_rebuild: FirstRebuild
) -> AsyncIterator[Site]:
    """A site for this test alone, with its projection in force."""
    async with Site(settings_of(database_url, redis_server.url, tmp_path / "data")) as site:
        await first_rebuild.put_in_force(site.projection, site.settings.lease_s)
        yield site


@pytest.fixture
async def workers(
    database: Database, database_url: str, redis_server: RedisServer, short_path: Path
) -> AsyncIterator[WorkerStack]:
    async with WorkerStack(database, redis_server, database_url, short_path) as workers:
        await workers.projection.rebuild()
        yield workers
        for worker in workers.processes:
            worker.kill()
        workers.sql.dispose()
