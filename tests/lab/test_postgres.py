"""A private PostgreSQL starts, keeps its data, and is stopped by its process id."""

import subprocess
import sys
import tempfile
import time
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
    directory.chmod(0o711)  # The server may run as another user.
    try:
        server.start()
    except NotInstalled as error:
        unavailable(error)
    with psycopg.connect(server.create_database("kept"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        held = server.running
        server.stop()  # A client is still connected.
    assert held.exit_code == 0
    with server, psycopg.connect(server.url("kept")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        server.drop_database("nothing")


STARTER = """
import sys, time
from pathlib import Path
from lab.postgres import PostgresServer
print(PostgresServer(Path(sys.argv[1])).start().running.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.postgres
def test_it_ends_when_the_one_who_started_it_is_killed(directory: Path):
    directory.chmod(0o711)
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, directory / "postgres"], stdout=subprocess.PIPE, text=True
    )
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 30
    while runs(pid):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_missing_server_names_its_package(monkeypatch):
    monkeypatch.setattr(postgres.shutil, "which", lambda _: None)
    monkeypatch.setattr(postgres.Path, "glob", lambda *_: iter(()))
    with pytest.raises(NotInstalled, match="install the package postgresql"):
        postgres.postgres_binary("initdb")
