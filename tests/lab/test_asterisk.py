"""The lab's Asterisk: several at once, nothing left behind, and a clear message when it is not available."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import asterisk_root
from lab.asterisk import Asterisk
from lab.line import Line
from lab.process import NotInstalled
from lab.sipp import Call, sipp_binary
from tests.conftest import unavailable

pytestmark = pytest.mark.pbx


@pytest.fixture(autouse=True)
def _installed() -> None:
    try:
        asterisk_root.find()
        sipp_binary()
    except NotInstalled as error:
        unavailable(error)


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[list[Line]]:
    with ExitStack() as stack:
        pbxes = [stack.enter_context(Asterisk(tmp_path / name)) for name in ("one", "two")]
        yield [stack.enter_context(Line(pbx, pbx.directory)) for pbx in pbxes]


def test_two_run_side_by_side_and_keep_their_calls_apart(lines: list[Line]) -> None:
    one, two = lines
    assert [placed.status for placed in one.place(Call("911"), Call("112"))] == [200, 200]
    assert [placed.status for placed in two.place(Call("112"))] == [200]
    assert (sorted(one.trunk.numbers()), two.trunk.numbers()) == (["112", "911"], ["112"])
    assert (len(one.pbx.cdr()), len(two.pbx.cdr())) == (2, 1)


def test_it_can_be_started_again_and_keeps_its_records(tmp_path: Path) -> None:
    pbx = Asterisk(tmp_path / "pbx", {"DNC_TIMEOUT": "1"})
    for _ in range(2):
        with pbx, Line(pbx, tmp_path) as line:
            assert "DNC_TIMEOUT=1" in pbx.rx("dialplan show globals")
            line.place(Call("911"))
    assert len(pbx.cdr()) == 2


def test_a_text_on_the_console_is_given_as_asterisk_prints_it(lines: list[Line]) -> None:
    pbx = lines[0].pbx
    assert pbx.rx("core show version").startswith("Asterisk ")
    assert "No such command" in pbx.rx("no such command")
    pbx.set_global("DNC_NOTICE", "a&b")
    assert "DNC_NOTICE=a&b" in pbx.rx("dialplan show globals")


STARTER = """
import sys, time
from pathlib import Path
from lab.asterisk import Asterisk
print(Asterisk(Path(sys.argv[1])).start().process.pid, flush=True)
time.sleep(60)
"""


def test_nothing_stays_mounted_when_the_one_who_started_it_is_killed(tmp_path: Path) -> None:
    before = Path("/proc/mounts").read_text()
    starter = subprocess.Popen([sys.executable, "-c", STARTER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert Path("/proc/mounts").read_text() == before
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/root").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert Path("/proc/mounts").read_text() == before


def test_without_mmdebstrap_the_error_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DNC_LAB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(NotInstalled, match="apt-get install mmdebstrap"):
        asterisk_root.find()


def test_a_fetch_that_fails_leaves_nothing_to_be_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "mmdebstrap"
    broken.write_text('#!/bin/sh\nfor last; do :; done\nmkdir "$last"\necho "E: no network" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DNC_LAB_CACHE", str(tmp_path / "cache"))
    for _ in range(2):
        with pytest.raises(NotInstalled, match="no network"):
            asterisk_root.find()
    assert not list((tmp_path / "cache").glob("asterisk-*[!.part]"))
