"""`scripts/up`: it proves that it works, stops at Ctrl-C without leftovers, and uses its data again."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import ClientSession, CookieJar

from lab.process import NotInstalled, NotStarted, Process, free_port
from lab.redis import redis_binary
from lab.stack import Stack, _answers
from lab.up import NEXT
from tests.conftest import unavailable

LAST_LINE = NEXT.splitlines()[-1].partition(".")[2].strip()


def environment_in(directory: Path) -> dict[str, str]:
    try:
        redis_binary()
    except NotInstalled as error:
        unavailable(error)
    ports = {f"DNC_{name}_BIND": f"127.0.0.1:{free_port()}" for name in ("AGI", "METRICS", "WEB")}
    return {"DNC_DATA_DIR": str(directory / "var"), "DNC_REDIS_URL": "", **ports}


@contextmanager
def started(environment: dict[str, str]) -> Iterator[Process]:
    log = Path(environment["DNC_DATA_DIR"]).with_name("up.log")
    with Process([sys.executable, "-m", "lab.up"], log, environment) as process:
        process.wait_until(lambda: LAST_LINE in process.log_end(), within_s=120)
        yield process


@pytest.fixture
def environment(short_path: Path) -> dict[str, str]:
    return environment_in(short_path)


@pytest.fixture
def up(environment: dict[str, str]) -> Iterator[Process]:
    with started(environment) as process:
        yield process


class Standing(NamedTuple):
    """One that runs during all tests of this module, which do not change it."""

    environment: dict[str, str]
    up: Process


@pytest.fixture(scope="module")
def standing() -> Iterator[Standing]:
    with tempfile.TemporaryDirectory(prefix="dnc-") as path:
        environment = environment_in(Path(path))
        with started(environment) as up:
            yield Standing(environment, up)


def again(environment: dict[str, str], *words: str) -> tuple[int, str]:
    """Run `scripts/up` once more to its end; return its exit code and output."""
    command = [sys.executable, "-m", "lab.up", *words]
    ended = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def site(environment: dict[str, str]) -> str:
    return f"http://{environment['DNC_WEB_BIND']}/"


async def signed_in(environment: dict[str, str], password: str) -> bool:
    """Return whether `admin` can sign in with this password, as in a browser without JavaScript."""
    unsafe = CookieJar(unsafe=True)  # Accept the cookies of an IP address.
    async with ClientSession(site(environment), cookie_jar=unsafe) as browser:
        page = await (await browser.get("/sign-in")).text()
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        form = {"name": "admin", "password": password, "csrf": token[1] if token else ""}
        answer = await browser.post("/sign-in", data=form, headers={"Origin": site(environment).rstrip("/")})
        return answer.url.path != "/sign-in"


async def test_the_first_start_shows_the_password_of_the_first_admin_who_can_sign_in_with_it(standing):
    (shown,) = re.findall(r"Password, shown this once: (\S+)", standing.up.log_end(8000))
    assert await signed_in(standing.environment, shown)
    assert not await signed_in(standing.environment, shown[::-1])


def test_no_file_of_its_data_is_for_others(standing):
    written = [path for path in Path(standing.environment["DNC_DATA_DIR"]).rglob("*") if not path.is_symlink()]
    assert any(path.name.endswith(".aof") for path in written), "Redis has numbers on disk"
    assert [path for path in written if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://dnc:s3cret@db/dnc", "db/dnc"),
        ("postgresql://dnc@db/dnc?password=s3cret", "db/dnc?password=***"),
        ("postgresql:///dnc?host=db&password=s%2Fret&sslpassword=s3cret", "dnc?host=db&password=***&sslpassword=***"),
        ("sqlite:///x.sqlite3", "sqlite:///x.sqlite3"),
    ],
)
def test_the_database_is_shown_without_its_passwords(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url, shown):
    monkeypatch.setenv("DNC_DATABASE_URL", url)
    said = Stack(print, tmp_path)._shown_database()
    assert said.endswith(shown)
    assert "s3cret" not in said


def test_it_proves_itself_and_says_what_to_do_next(standing):
    said = standing.up.log_end(8000)
    assert said.count("right  BLOCK") == 2
    assert said.count("right  ALLOW") == 2
    assert "WRONG" not in said
    assert "What next" in said


def test_ctrl_c_stops_everything_and_the_next_start_finds_its_data(up, environment):
    children = children_of(up.pid)
    assert len(children) == 4
    up.signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert up.log_end().endswith("Stopped.\n")
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    code, said = again(environment, "--once", "--no-demo")
    assert code == 0, said
    assert f"Site       {site(environment)}" in said
    assert "Password" not in said
    assert "Stopped." in said


def test_a_second_start_in_the_same_directory_says_that_it_already_runs(standing):
    code, said = again(standing.environment)
    assert code == 2
    assert "dnc-gate already runs in" in said
    assert "DNC_DATA_DIR" in said
    assert standing.up.exit_code is None


def test_a_second_start_with_the_same_ports_proves_nothing_and_names_the_setting(standing, short_path):
    code, said = again({**standing.environment, "DNC_DATA_DIR": str(short_path / "other")})
    taken = standing.environment["DNC_AGI_BIND"]
    assert code == 2
    assert said.startswith(f"scripts/up: DNC_AGI_BIND: cannot listen on {taken}: Address already in use; DNC_AGI_BIND=")
    assert "right" not in said
    assert "Password" not in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["METRICS", "WEB"])
def test_each_port_in_use_is_found_before_anything_starts(standing, environment, name):
    setting = f"DNC_{name}_BIND"
    code, said = again({**environment, setting: standing.environment[setting]})
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith(f"scripts/up: {setting}: ")


def test_two_settings_with_the_same_port_are_found(environment):
    code, said = again({**environment, "DNC_WEB_BIND": environment["DNC_AGI_BIND"]})
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("scripts/up: DNC_WEB_BIND: ")


def test_an_answer_of_another_start_is_not_ready(standing):
    url = f"{site(standing.environment)}readyz"
    with urllib.request.urlopen(url, timeout=5) as answer:
        own = answer.headers["DNC-Instance"]
    assert _answers(url, own)
    assert not _answers(url, own[::-1])
    gate = f"http://{standing.environment['DNC_METRICS_BIND']}/readyz"
    assert _answers(gate, own)
    assert not _answers(gate, "")


def test_a_worker_that_cannot_start_ends_the_start_at_once(environment):
    code, said = again({**environment, "DNC_AMI_ADDRESS": "127.0.0.1:1", "DNC_LEASE_S": "-1"})
    assert (code, said) == (2, "scripts/up: DNC_LEASE_S: write 0 or more.\n")


def test_a_data_directory_that_cannot_be_used_is_one_line(environment):
    file = Path(environment["DNC_DATA_DIR"])
    file.write_text("not a directory")
    for directory in (file, file / "below"):
        code, said = again({**environment, "DNC_DATA_DIR": str(directory)})
        assert (code, said.count("\n")) == (2, 1)
        assert said.startswith(f"scripts/up: DNC_DATA_DIR: {file} is no directory; name a directory")


def test_a_redis_that_is_away_is_named_while_the_start_waits(environment, short_path):
    missing = short_path / "none.sock"
    settings = {**environment, "DNC_REDIS_URL": f"unix://{missing}"}
    with Process([sys.executable, "-m", "lab.up"], short_path / "up.log", settings) as up:
        up.wait_until(lambda: "Waiting " in up.log_end(), within_s=120)
        (line,) = [line for line in up.log_end().splitlines() if line.startswith("Waiting ")]
        up.kill()  # The kernel then ends its programs.
    assert str(missing) in line
    assert "waiting for redis" in line


def test_a_program_that_ends_by_itself_is_named_and_the_rest_is_stopped(up):
    gate = next(child for child in children_of(up.pid) if b"agi-gate" in Path(f"/proc/{child}/cmdline").read_bytes())
    os.kill(int(gate), signal.SIGKILL)
    assert up.wait(60) == 1
    assert "gate ended with code -9" in up.log_end()
    assert up.log_end().endswith("Stopped.\n")


def test_a_wrong_setting_is_one_line_and_exit_code_2(environment):
    code, said = again({**environment, "DNC_REGION": "XX"})
    assert code == 2
    assert said == "scripts/up: DNC_REGION: write a two-letter country code in capitals, such as US or GB\n"


def test_a_start_that_waits_says_once_what_for(short_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lab.stack.READY_S", 0.5)
    monkeypatch.setattr("lab.stack.SAY_S", 0.05)
    said: list[str] = []
    waits = ["sh", "-c", "echo waiting for redis; sleep 60"]
    why = "gate is not ready after 0 s: waiting for redis"
    with Process(waits, short_path / "gate.log") as process:
        process.wait_until(lambda: "waiting for redis" in process.log_end())
        with pytest.raises(NotStarted, match=why):
            Stack(said.append, short_path)._until_ready(process, "http://127.0.0.1:1/readyz")
    assert len(said) == 1
    assert said[0].startswith("Waiting    waiting for redis (log: ")
