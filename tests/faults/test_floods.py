"""Thousands of clients that hold connections without asking anything: everybody else is answered meanwhile."""

import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.process import NotInstalled, Process, free_port
from lab.redis import RedisServer
from tests.conftest import unavailable
from tests.support.asterisk import screen
from tests.support.flood import HALF_AGI, HALF_BODY, HALF_HEAD, Flood
from tests.support.programs import run

CLIENTS, FILES = 2_000, 1_024
HOLD_S, LONG_HOLD_S = 1.5, 30.0
MOST_LOG = 100_000


@dataclass
class House:
    """Worker, site and gate, each of which may open `FILES` files."""

    directory: Path
    web: int
    agi: int
    metrics: int
    worker: int
    token: str
    suppressed: int = 0

    def status(self, port: int, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def suppress(self) -> int:
        self.suppressed += 1
        said = json.dumps({"number": f"+1415555{1000 + self.suppressed}"}).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.web}/api/v1/suppress"
        with urllib.request.urlopen(urllib.request.Request(url, said, headers), timeout=30) as answer:
            return answer.status

    def log_size(self) -> int:
        return sum(log.stat().st_size for log in self.directory.glob("*.log"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    if not (prlimit := shutil.which("prlimit")):
        unavailable(NotInstalled("No prlimit: install the package util-linux."))
    directory = tmp_path_factory.mktemp("house")
    with RedisServer(tmp_path_factory.mktemp("r")) as redis:
        web, agi, metrics, worker = (free_port() for _ in range(4))
        settings = {
            "DNC_REDIS_URL": redis.url, "DNC_DATA_DIR": str(directory), "DNC_WEB_BIND": f"127.0.0.1:{web}",
            "DNC_AGI_BIND": f"127.0.0.1:{agi}", "DNC_METRICS_BIND": f"127.0.0.1:{metrics}", "DNC_DEADLINE_MS": "1000",
            "DNC_WORKER_BIND": f"127.0.0.1:{worker}",
        }  # fmt: skip
        run("admin_web", ["migrate"], settings)
        run("admin_web", ["user", "first"], settings)
        made = run("admin_web", ["token", "make", "crm", "--scope", "suppress"], settings).stdout
        token = next(word for word in made.split() if word.startswith("dnc_"))
        few = [prlimit, f"--nofile={FILES}:{FILES}", sys.executable, "-m"]
        started = (["admin_web", "worker"], ["admin_web", "serve"], ["agi_gate", "serve"])
        programs = [
            Process([*few, *words], directory / f"{'-'.join(words)}.log", {**os.environ, **settings})
            for words in started
        ]
        house = House(directory, web, agi, metrics, worker, token)
        for program, port in zip(programs, (worker, web, metrics), strict=True):
            program.wait_until(lambda port=port: house.status(port, "/readyz") == 200, within_s=60)
        yield house
        for program in programs:
            program.kill()


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("port", "said"),
    [("web", HALF_HEAD), ("web", HALF_BODY), ("metrics", HALF_HEAD), ("worker", HALF_HEAD), ("agi", HALF_AGI)],
    ids=["site-head", "site-body", "gate-head", "worker-head", "agi"],
)
def test_half_sent_requests_stop_no_page_no_suppression_and_no_call(house: House, port: str, said: bytes, long: bool):
    before = house.log_size()
    with Flood(getattr(house, port), said, CLIENTS) as flood:
        # A port for monitoring accepts a few in each turn of the event loop, so filling it several times takes long.
        assert flood.until_opened(300 if port in {"metrics", "worker"} else FILES + 200)
        until = time.monotonic() + (LONG_HOLD_S if long else HOLD_S)
        while time.monotonic() < until:
            assert house.status(house.web, "/healthz") == 200
            assert house.status(house.metrics, "/readyz") == 200
            assert house.status(house.worker, "/readyz") == 200
            assert house.suppress() == 200
            assert screen(house.agi, "+14155550199").allowed
            time.sleep(0.1)
    assert house.log_size() - before < MOST_LOG
