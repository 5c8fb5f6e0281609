"""Fixtures for a module that repeats tests of another one on Valkey. It imports them after the tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.process import NotInstalled
from lab.redis import RedisServer, valkey_binary
from tests.conftest import unavailable
from tests.support.reuse import RedisPool


@pytest.fixture(scope="module")
def valkey_pool() -> Iterator[RedisPool]:
    """The Valkey that the tests of a module use one after the other."""
    try:
        pool = RedisPool(valkey_binary())
    except NotInstalled as error:
        unavailable(error)
    yield pool
    pool.close()


@pytest.fixture
def redis_server(valkey_pool: RedisPool) -> RedisServer:
    """An empty Valkey."""
    return valkey_pool.lend()


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated, empty SQLite database: the database makes no difference here."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'dnc.sqlite3')}"
