"""A fault in any program, while it holds passwords, tokens and codes: none of them is in its log."""

import json
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from compliance.redis_schema import terms_key
from compliance.redis_terms import terms_digest
from lab.process import Process, free_port
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection
from tests.support.programs import Program, run

REDIS_PASSWORD, DATABASE_PASSWORD, AMI_SECRET = "redis-s3cret!", "database-s3cret!", "ami-s3cret!"
PASSWORD, CODE, TOKEN = "a-form-password-9", "918273", "dnc_" + "T" * 43
SECRETS = (REDIS_PASSWORD, DATABASE_PASSWORD, AMI_SECRET, PASSWORD, CODE, TOKEN, "redis-s3cret%21")

BROKEN = "CREATE TRIGGER broken BEFORE {} ON {} BEGIN SELECT RAISE(ABORT, 'the table is broken'); END"
"""A fault that no program expects. It strikes where the program holds what it is about to write."""


@dataclass
class House:
    directory: Path
    environment: dict[str, str]
    redis: RedisServer
    projection: HandmadeProjection

    def break_table(self, name: str, deed: str = "INSERT") -> None:
        with sqlite3.connect(self.directory / "dnc.sqlite3") as connection:
            connection.execute(BROKEN.format(deed, name))

    def log_until(self, program: Process, text: str, within_s: float = 60) -> str:
        deadline = time.monotonic() + within_s
        while text not in (log := "".join(program.log.read_text().rpartition("\n")[:2])):  # only whole lines
            assert time.monotonic() < deadline, log
            time.sleep(0.02)
        return log


@pytest.fixture
def house(short_path: Path) -> Iterator[House]:
    with RedisServer(short_path / "r") as redis:
        projection = HandmadeProjection(redis)
        projection.redis.config_set("requirepass", REDIS_PASSWORD)
        environment = {
            "DNC_REDIS_URL": f"unix://:{REDIS_PASSWORD.replace('!', '%21')}@{redis.socket}",
            "DNC_DATA_DIR": str(short_path),
            "DNC_AMI_SECRET": AMI_SECRET,
            "DNC_AMI_ADDRESS": f"127.0.0.1:{free_port()}",
            "DNC_WEB_BIND": f"127.0.0.1:{free_port()}",
            "DNC_LOG_LEVEL": "DEBUG",
            "PYTHONASYNCIODEBUG": "1",
            "PGPASSWORD": DATABASE_PASSWORD,
        }
        assert run("admin_web", ["migrate"], environment).returncode == 0
        added = run("admin_web", ["user", "add", "ann", "--role", "admin", "--stdin"], environment, f"{PASSWORD}\n")
        assert added.returncode == 0, added.stderr
        yield House(short_path, environment, redis, projection)


def require_clean(log: str) -> None:
    """Assert that a log has no secret, and that each line is JSON."""
    for secret in SECRETS:
        assert secret not in log, log
    for line in log.splitlines():
        json.loads(line)


def post(url: str, body: bytes, **headers: str) -> int:
    asked = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_site_logs_no_password_no_code_and_no_token(house: House):
    site = Program("admin_web", ["serve"], house.directory / "site.log", house.environment)
    url = f"http://{house.environment['DNC_WEB_BIND']}"
    try:
        site.wait_until(lambda: _answers(f"{url}/healthz"))
        house.break_table("audit_events")
        form = urlencode({"name": "ann", "password": PASSWORD, "code": CODE}).encode()
        assert post(f"{url}/sign-in", form, Origin=url) == 500
        log = house.log_until(site, '"event": "failed"')
        assert "the table is broken" in log
        # The refusal of a token is an audit event too. It cannot be recorded, and is a refusal all the same.
        assert post(f"{url}/api/v1/suppress", b'{"number": ', Authorization=f"Bearer {TOKEN}") == 401
        require_clean(site.log.read_text())
    finally:
        site.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def test_the_worker_logs_no_password(house: House):
    house.break_table("projection", "UPDATE")
    worker = Program("admin_web", ["worker"], house.directory / "worker.log", house.environment)
    try:
        assert "the table is broken" in house.log_until(worker, '"event": "failed"')
        house.redis.kill()
        require_clean(house.log_until(worker, "loop delayed"))
    finally:
        worker.kill()


def test_a_command_logs_no_password(house: House):
    house.break_table("audit_events")
    ended = run("admin_web", ["user", "password", "ann", "--stdin"], house.environment, f"{PASSWORD}-new\n")
    assert ended.returncode == 1
    assert "the table is broken" in ended.stderr
    require_clean(ended.stderr)


@pytest.mark.parametrize(
    "url", ["postgresql://dnc:{}@127.0.0.1:1/dnc", "postgresql://dnc@127.0.0.1:1/dnc?password={}&connect_timeout=1"]
)
def test_a_database_that_cannot_be_reached_is_told_without_its_password(house: House, url: str):
    settings = house.environment | {"DNC_DATABASE_URL": url.format(DATABASE_PASSWORD)}
    ended = run("admin_web", ["lead", "add", "x", "+14155550100"], settings)
    assert ended.returncode == 2
    for secret in SECRETS:
        assert secret not in ended.stdout + ended.stderr


def test_the_gate_logs_no_password(house: House):
    environment = {name: value for name, value in house.environment.items() if name.startswith("DNC_")}
    gate = GateProcess(house.directory / "gate", environment.pop("DNC_REDIS_URL"), **environment)
    try:
        gate.until_ready()
        client = house.projection.redis
        client.set(terms_key(1), "not terms")
        client.hset("dnc:state", "terms", terms_digest(b"not terms"))
        gate.until("state-unverified", "+14155550100")
        client.config_set("requirepass", "another-password")
        client.client_kill_filter(skipme=True)
        log = house.log_until(gate.process, "redis lost")
        assert "terms unreadable" in log
        for secret in SECRETS:
            assert secret not in log, log
    finally:
        gate.process.kill()
