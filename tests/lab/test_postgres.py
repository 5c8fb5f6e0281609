"""A private PostgreSQL comes up, keeps its data and goes by its process id."""

import tempfile
from pathlib import Path

import psycopg
import pytest

from lab import postgres
from lab.postgres import PostgresServer
from lab.process import NotInstalled
from tests.conftest import unavailable


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="dnc-pg-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.mark.postgres
def test_a_second_start_finds_the_data_of_the_first(directory: Path):
    server = PostgresServer(directory / "postgres")
    directory.chmod(0o711)  # the server may run as another user
    try:
        server.start()
    except NotInstalled as error:
        unavailable(error)
    with psycopg.connect(server.create_database("kept"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        held = server.running
        server.stop()  # a client is still connected
    assert held.exit_code == 0
    with server, psycopg.connect(server.url("kept")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        server.drop_database("nothing")


def test_a_missing_server_names_its_package(monkeypatch):
    monkeypatch.setattr(postgres.shutil, "which", lambda _: None)
    monkeypatch.setattr(postgres.Path, "glob", lambda *_: iter(()))
    with pytest.raises(NotInstalled, match="install the package postgresql"):
        postgres.postgres_binary("initdb")
