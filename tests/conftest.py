"""What every test may ask for: a real Redis. Databases and the PBX have theirs beside their tests."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.process import NotInstalled
from lab.redis import RedisServer
from tests.nursery import opened


def unavailable(error: NotInstalled) -> None:
    """In CI a missing engine is a failure; elsewhere the test is skipped, loudly, and names the package."""
    if os.environ.get("CI"):
        pytest.fail(str(error))
    pytest.skip(str(error))


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[None]:
    """Programs of the product are forked, not started anew, as long as the tests last."""
    with opened():
        yield


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a unix socket's name."""
    with tempfile.TemporaryDirectory(prefix="dnc-") as path:
        yield Path(path)


@pytest.fixture
def redis_server(short_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test alone, with the append-only file on."""
    server = RedisServer(short_path / "redis")
    try:
        server.start()
    except NotInstalled as error:
        unavailable(error)
    yield server
    server.kill()
