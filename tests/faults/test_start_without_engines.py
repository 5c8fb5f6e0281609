"""Worker, gate and site start while Redis and SQL are away. They wait, and then calls go through."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import create_engine, make_url, text

from compliance.redis_url import NOTHING_LISTENS
from lab.postgres import PostgresServer
from lab.process import Process, accepts, free_port
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.programs import Program, run

LISTED, FREE = "+14155550100", "+14155550199"


class House:
    """The programs and their engines, none of which has been started."""

    def __init__(self, directory: Path, database_url: str, ending: ExitStack) -> None:
        self.directory, self._ending = directory, ending
        self.redis = RedisServer(directory / "redis", port=free_port())
        self.ports = {name: free_port() for name in ("WEB", "WORKER")}
        self.environment = {
            "DNC_REDIS_URL": f"redis://127.0.0.1:{self.redis.port}",
            "DNC_DATABASE_URL": database_url,
            "DNC_DATA_DIR": str(directory),
            "DNC_DEADLINE_MS": "1000",
            **{f"DNC_{name}_BIND": f"127.0.0.1:{port}" for name, port in self.ports.items()},
        }

    def program(self, word: str, **settings: str) -> Process:
        """Start a program of `dnc-admin`, and wait until it serves its port."""
        log = self.directory / f"{word}.log"
        process = Program("admin_web", [word], log, {**self.environment, **settings})
        self._ending.callback(process.kill)
        return process

    def gate(self) -> GateProcess:
        environment = {name: value for name, value in self.environment.items() if name != "DNC_REDIS_URL"}
        gate = GateProcess(self.directory / "gate", self.environment["DNC_REDIS_URL"], waiting=True, **environment)
        self._ending.callback(gate.process.kill)
        return gate

    def start_redis(self) -> None:
        self.redis.start()
        self._ending.callback(self.redis.kill)

    def status(self, name: str, path: str = "/readyz") -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def admin(self, *words: str) -> None:
        ended = run("admin_web", words, self.environment)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def said(process: Process, *events: str) -> list[dict]:
    lines = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] in events]


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    with ExitStack() as ending:
        yield ending


@pytest.fixture
def sqlite_house(short_path: Path, sqlite_template: Path, ending: ExitStack) -> House:
    (short_path / "dnc.sqlite3").write_bytes(sqlite_template.read_bytes())
    return House(short_path, f"sqlite:///{short_path}/dnc.sqlite3", ending)


def assert_calls_go_through(house: House, gate: GateProcess) -> None:
    gate.until_ready()
    house.admin("suppress", LISTED)
    assert gate.screen(FREE).allowed
    assert gate.screen(LISTED).reason == "internal-dnc"


def test_without_redis_worker_and_gate_wait_and_the_site_serves(sqlite_house: House):
    house = sqlite_house
    worker, site, gate = house.program("worker"), house.program("serve"), house.gate()
    worker.wait_until(lambda: house.status("WORKER") == 503 and len(said(worker, "worker waits")) == 1)
    site.wait_until(lambda: house.status("WEB") == 200)
    assert NOTHING_LISTENS in said(worker, "worker waits")[0]["trouble"]
    assert house.status("WORKER", "/healthz") == 200
    assert not accepts(("127.0.0.1", gate.port))
    house.start_redis()
    worker.wait_until(lambda: house.status("WORKER") == 200)
    assert_calls_go_through(house, gate)
    events = said(worker, "worker waits", "worker starts after waiting")
    assert [line["event"] for line in events] == ["worker waits", "worker starts after waiting"]


@pytest.mark.postgres
def test_without_sql_and_redis_all_wait_whichever_comes_first(
    short_path: Path, postgres_server: PostgresServer, ending: ExitStack
):
    name = "start_without_engines"
    url = make_url(postgres_server.create_database(name, "migrated"))
    ending.callback(postgres_server.drop_database, name)
    # PostgreSQL has a socket in this directory only once a link leads to it.
    here = short_path / ".s.PGSQL.5432"
    house = House(short_path, f"postgresql://{url.username}@/{name}?host={short_path}", ending)
    worker, site, gate = house.program("worker"), house.program("serve"), house.gate()
    worker.wait_until(lambda: len(said(worker, "worker waits")) == 1)
    site.wait_until(lambda: house.status("WEB") == 503)
    assert house.status("WEB", "/healthz") == 200
    here.symlink_to(postgres_server.directory.resolve() / f".s.PGSQL.{postgres_server.port}")
    site.wait_until(lambda: house.status("WEB") == 200)
    worker.wait_until(lambda: len(said(worker, "worker waits")) == 2)
    why = [line["trouble"] for line in said(worker, "worker waits")]
    assert "database start_without_engines" in why[0]
    assert NOTHING_LISTENS in why[1], "another cause is another line"
    assert house.status("WORKER") == 503
    house.start_redis()
    assert_calls_go_through(house, gate)
    assert len(said(worker, "worker starts after waiting")) == 1
    assert {line["event"] for line in said(site, "database away", "not ready", "ready again")} == {
        "database away", "not ready", "ready again",
    }  # fmt: skip
    assert len(said(site, "not ready")) == 1, "monitors that ask again and again do not fill the log"


def spoilt(house: House, spoil: Callable[[Path], object]) -> House:
    spoil(house.directory / "dnc.sqlite3")
    return house


def other_revision(revision: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
        engine.dispose()

    return spoil


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "older tables": (other_revision("0001"), "belong to an older dnc-gate; run `dnc-admin migrate`"),
    "newer tables": (other_revision("r9999"), "belong to a newer dnc-gate; update this program"),
    "no tables": (lambda path: (path.unlink(), path.touch()), "run `dnc-admin migrate`"),
    "no file": (Path.unlink, "run `dnc-admin migrate`"),
    "no database": (lambda path: path.write_text("not a database" * 100), "not an SQLite database"),
}


@pytest.mark.parametrize("word", ["worker", "serve"])
@pytest.mark.parametrize("how", SPOILT)
def test_a_database_that_is_not_ours_ends_the_program_at_once_also_without_redis(
    sqlite_house: House, how: str, word: str
):
    spoil, why = SPOILT[how]
    process = spoilt(sqlite_house, spoil).program(word)
    assert process.wait(60) == 2
    (line,) = process.log.read_text().splitlines()
    assert line.startswith("dnc-admin: ")
    assert why in line


UNFIT: dict[str, tuple[tuple[str, str], tuple[str, str], str]] = {
    "may evict": (("maxmemory-policy", "allkeys-lru"), ("maxmemory-policy", "noeviction"), "to noeviction"),
    "wants a password": (("requirepass", "hunter2"), ("requirepass", ""), "uthentication"),
}


@pytest.mark.parametrize("how", UNFIT)
def test_the_worker_waits_for_a_redis_that_must_not_be_used_yet(sqlite_house: House, how: str):
    spoil, mend, why = UNFIT[how]
    house = sqlite_house
    house.start_redis()
    client = Redis(unix_socket_path=str(house.redis.socket))
    client.config_set(*spoil)
    worker = house.program("worker")
    worker.wait_until(lambda: len(said(worker, "worker waits")) == 1)
    assert why in said(worker, "worker waits")[0]["trouble"]
    assert house.status("WORKER") == 503
    client.config_set(*mend)
    worker.wait_until(lambda: house.status("WORKER") == 200)


def test_a_signal_ends_a_worker_that_waits(sqlite_house: House):
    worker = sqlite_house.program("worker")
    worker.wait_until(lambda: len(said(worker, "worker waits")) == 1)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait() == 0
