"""A log holds no values of variables and no passwords, and a flood of messages of libraries is thinned."""

import asyncio
import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import structlog
from aiohttp.http_exceptions import BadStatusLine
from pydantic import BaseModel, ValidationError

from admin_web.cli.shell import run
from agi_gate.commands import run as run_gate
from compliance import log as log_module
from compliance.log import MASKED, REPEAT_S, Thinned, is_fault_of_the_client, log_to_stderr
from compliance.secrets import secrets_of

SECRET = "hunter2-hunter2"


def fail(password: str) -> None:
    form = {"password": password}
    raise RuntimeError("no such column") from KeyError(len(form))


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_traceback_shows_source_lines_and_no_values(capsys: pytest.CaptureFixture[str]):
    log_to_stderr("INFO")
    try:
        fail(SECRET)
    except RuntimeError:
        structlog.get_logger().exception("failed", path="/sign-in")
    said = capsys.readouterr().err
    (line,) = lines(said)
    assert (line["event"], line["level"], line["path"]) == ("failed", "error", "/sign-in")
    assert "no such column" in line["exception"]
    assert "in fail" in line["exception"]
    assert SECRET not in said


class Form(BaseModel):
    code: int


def test_values_in_the_messages_of_libraries_are_left_out(capsys: pytest.CaptureFixture[str]):
    log_to_stderr("INFO")
    row = (
        f'null value in column "x"\nDETAIL:  Failing row contains (1, {SECRET}).\nCONTEXT:  COPY t, line 1: "{SECRET}"'
    )
    for error in (RuntimeError(row), invalid()):
        try:
            raise error
        except (RuntimeError, ValidationError):
            structlog.get_logger().exception("failed")
    said = capsys.readouterr().err
    assert SECRET not in said
    assert "null value in column" in said
    assert f"input_value: {MASKED}" in said


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        Form(code=SECRET)
    return raised.value


def test_passwords_of_the_settings_are_masked_wherever_they_occur(capsys: pytest.CaptureFixture[str]):
    log_to_stderr("INFO", [SECRET, "dnc"])
    structlog.get_logger().warning("redis lost", trouble=f"cannot reach redis://dnc:{SECRET}@h/0", object=Form(code=1))
    (line,) = lines(capsys.readouterr().err)
    assert line["trouble"] == f"cannot reach redis://dnc:{MASKED}@h/0"
    assert line["object"] == "<Form>"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("redis://:s3cret-s3cret@h:6379/0", {"s3cret-s3cret"}),
        ("rediss://user:a%40b%2Fc@h/0", {"a%40b%2Fc", "a@b/c"}),
        ("redis+sentinel://u:p%20q@a:1,b:2/m?sentinel_password=other&db=1", {"p%20q", "p q", "other"}),
        ("unix:///run/redis.sock?password=secret1", {"secret1"}),
        ("postgresql://dnc:x@y@h/d", {"x@y"}),
        ("postgresql:///d?host=/run&password=secret2", {"secret2"}),
        ("redis://h:6379/0", set()),
        ("", set()),
    ],
)
def test_the_passwords_of_a_url_are_found(url: str, found: set[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert secrets_of([url]) == found


def test_the_password_of_libpq_is_a_secret_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert secrets_of([], ["ami-secret"]) == {SECRET, "ami-secret"}


def test_libraries_log_to_the_same_place_in_the_same_form(capsys: pytest.CaptureFixture[str]):
    log_to_stderr("INFO")
    logging.getLogger("asyncio").error("Task exception was never retrieved %s", "future")
    logging.getLogger("asyncio").debug("Executing <Handle %s> took", SECRET)
    logging.getLogger("aiohttp.access").info("POST /sign-in %s", SECRET)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", UserWarning, stacklevel=1)
    said = capsys.readouterr().err
    assert [line["event"] for line in lines(said)] == ["asyncio", "py.warnings"]
    assert SECRET not in said


def test_the_level_of_the_settings_applies(capsys: pytest.CaptureFixture[str]):
    log_to_stderr("ERROR")
    structlog.get_logger().warning("less")
    logging.getLogger("asyncio").warning("less")
    assert capsys.readouterr().err == ""


def test_a_request_that_violates_http_and_a_client_that_left_are_no_faults(capsys: pytest.CaptureFixture[str]):
    log_to_stderr("INFO")
    server = logging.getLogger("aiohttp.server")
    for error in (BadStatusLine("\x16\x03"), ConnectionResetError("Connection lost")):
        server.error("Error handling request from %s", "192.0.2.1", exc_info=error)
    assert capsys.readouterr().err == ""
    server.error("Error handling request from %s", "192.0.2.1", exc_info=ZeroDivisionError())
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not is_fault_of_the_client("asyncio", (ConnectionError, ConnectionError(), None))


def test_the_same_message_is_written_once_and_then_with_the_number_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    at = 100.0
    monkeypatch.setattr(log_module, "monotonic", lambda: at)
    log_to_stderr("INFO")
    for _ in range(1000):
        logging.getLogger("asyncio").error("socket.accept() out of system resource")
    at += REPEAT_S
    logging.getLogger("asyncio").error("socket.accept() out of system resource")
    assert [line.get("left_out") for line in lines(capsys.readouterr().err)] == [None, 999]


def test_counting_messages_takes_bounded_memory():
    thinned = Thinned()
    assert [thinned.passes(key, 1.0) for key in range(10_000)] == [0] * 10_000
    assert len(thinned._seen) <= log_module.MOST_MESSAGES


def test_debug_mode_of_asyncio_stays_off_in_the_programs(monkeypatch: pytest.MonkeyPatch):
    async def debugging() -> bool:
        return asyncio.get_running_loop().get_debug()

    async def off() -> None:
        assert not await debugging()

    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    assert run(debugging()) is False
    run_gate(off())


LOGGING = """
import logging
import os
import subprocess
import sys
import structlog
from compliance.log import log_to_stderr

log_to_stderr("INFO")
structlog.get_logger().info("one")
logging.getLogger("library").error("two")
print("goes on")
"""


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-", "2>&1 >&3 | true"], ids=["full", "closed", "gone"])
def test_a_log_that_cannot_be_written_stops_nothing(redirected: str):
    command = f'exec 3>&1; "$0" -c "$1" {redirected}'
    ended = subprocess.run(
        ["sh", "-c", command, sys.executable, LOGGING], stdout=subprocess.PIPE, text=True, check=False
    )
    assert ended.stdout == "goes on\n"


MANY = """
import structlog
from compliance.log import log_to_stderr

log_to_stderr("INFO")
for at in range(2000):
    structlog.get_logger().info("one of many", at=at)
"""


def test_lines_of_processes_that_share_a_log_do_not_mix(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")  # As in the container image.
    with (tmp_path / "log").open("ab") as log:
        processes = [subprocess.Popen([sys.executable, "-c", MANY], stderr=log) for _ in range(4)]
        assert [process.wait() for process in processes] == [0] * 4
    assert len(lines((tmp_path / "log").read_text())) == 8000
