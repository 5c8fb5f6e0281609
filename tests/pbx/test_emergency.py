"""Emergency calls go out while everything else is dead or hung, with every protection of the product on."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.asterisk import Asterisk
from lab.line import Line
from lab.postgres import PostgresServer
from lab.process import NotInstalled, Process, free_port
from lab.redis import RedisServer
from lab.sipp import Call
from tests.conftest import unavailable
from tests.support.programs import Program
from tests.support.stack import Stack

AT_MOST_S = 12.0
PROTECTED = {
    "DNC_AGI_PEERS": "127.0.0.1",
    "DNC_MOST_CONVERSATIONS_OF_PEER": "10",
    "DNC_CONSENT_POLICY": "us-strict",
    "DNC_REVIEW_FIRST": "true",
    "DNC_LEASE_S": "6",
    "DNC_DEADLINE_MS": "1000",
    "DNC_REQUIRE_TOTP": "admin,supervisor",
    "DNC_WEB_HOSTS": "dnc.example.com",
    "DNC_WEB_PROXIES": "127.0.0.1",
}


class Everything:
    """All processes of the product beside the PBX: SQL, Redis, worker, site and gate."""

    def __init__(self, redis: RedisServer, sql: PostgresServer, directory: Path) -> None:
        self.redis, self.sql = redis, sql
        self.stack = Stack(directory / "whole", redis, sql.create_database("emergency"), **PROTECTED)
        self.site: Process | None = None

    def start(self) -> None:
        self.stack.start()
        bind = {"DNC_WEB_BIND": f"127.0.0.1:{free_port()}"}
        self.site = Program("admin_web", ["serve"], self.stack.directory / "site.log", self.stack.environment | bind)

    @property
    def processes(self) -> list[Process]:
        gate, worker, site = self.stack.gate, self.stack.worker, self.site
        return [process for process in (gate and gate.process, worker, site, self.redis.running) if process]

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
        self.sql.stop()

    def hang(self) -> None:
        for process in self.processes:
            process.pause()

    def stop(self) -> None:
        if self.site:
            self.site.kill()
        self.stack.stop()
        self.redis.kill()
        self.sql.stop()


@pytest.fixture
def everything(short_path: Path, pbx: Asterisk) -> Iterator[Everything]:
    redis = RedisServer(short_path / "r")
    # PostgreSQL runs as a user of its own, who may not enter `short_path`.
    directory = tempfile.mkdtemp(prefix="dnc-pg-")
    sql = PostgresServer(Path(directory), fsync=False)
    try:
        sql.start()
    except NotInstalled as error:
        unavailable(error)
    whole = Everything(redis.start(), sql, short_path)
    try:
        whole.start()
        assert whole.stack.gate
        pbx.set_global("DNC_GATE", f"127.0.0.1:{whole.stack.gate.port}")
        pbx.set_global("DNC_NOTICE", "yes")
        yield whole
    finally:
        whole.stop()
        shutil.rmtree(directory, ignore_errors=True)


def test_911_goes_out_with_everything_else_dead_or_hung_and_every_protection_on(everything: Everything, line: Line):
    [proof] = line.place(Call("4155550199"))
    assert proof.record["dnc_verdict"] == "ALLOW", "the product must be at work before it is taken away"
    for fate in (Everything.hang, Everything.kill):
        fate(everything)
        before = len(line.trunk.numbers())
        calls = Call("911"), Call("112", caller="phone"), Call("911", "lead-1"), Call("4155550198")
        *emergencies, other = line.place(*calls)
        assert sorted(line.trunk.numbers()[before:]) == ["112", "911", "911"]
        assert {call.record["dnc_reason"] for call in emergencies} == {"emergency"}
        assert max(call.outcome.seconds for call in emergencies) < AT_MOST_S
        assert (other.status, other.record["dnc_verdict"]) == (403, "BLOCK")
