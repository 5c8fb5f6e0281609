"""The gate as a program: start, refusal to start, several processes, and end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agi_gate.canary import header, read_line
from agi_gate.serving.child import report
from lab.process import free_port
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess, Pbx
from tests.support.handmade import HandmadeProjection

LISTED, FREE = "+14155550100", "+14155550199"
PATIENT = {"DNC_DEADLINE_MS": "1000", "DNC_PEER_MS": "30000"}
"""Time limits for a busy machine. A request that a test leaves unfinished must not be ended by its own time limit."""


@pytest.fixture
def handmade(redis_server: RedisServer) -> HandmadeProjection:
    handmade = HandmadeProjection(redis_server)
    handmade.put_on(LISTED)
    return handmade


@pytest.fixture
def two(handmade: HandmadeProjection, redis_server: RedisServer, short_path: Path) -> Iterator[GateProcess]:
    with GateProcess(short_path / "gate", redis_server.url, processes=2, **PATIENT) as gate:
        yield gate.until_ready()


def agi_gate(*words: str, **environment: str) -> tuple[int, str]:
    """Run the command line to its end; return its exit code and standard error."""
    ports = {f"DNC_{name}_BIND": f"127.0.0.1:{free_port()}" for name in ("AGI", "METRICS")}
    command = [sys.executable, "-m", "agi_gate", *words]
    ended = subprocess.run(
        command, env={**os.environ, **ports, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stderr


class TestRefusalToStart:
    @pytest.mark.parametrize(
        ("environment", "says"),
        [
            ({"DNC_REDIS_URL": "localhost"}, "DNC_REDIS_URL: write redis://HOST:PORT/DB"),
            ({"DNC_REDIS_URL": "redis://:hunter2@127.0.0.1:many"}, "DNC_REDIS_URL: write redis://HOST:PORT/DB"),
            ({"DNC_REDIS_URL": f"redis://{'a' * 70}.example"}, "DNC_REDIS_URL: write redis://HOST:PORT/DB"),
            ({"DNC_REDIS_URL": f"redis+cluster://{'a' * 70}.example"}, "DNC_REDIS_URL: write each node as HOST"),
            ({"DNC_DEADLINE_MS": "fast"}, "DNC_DEADLINE_MS: "),
            ({"DNC_REGION": "XX"}, "DNC_REGION: "),
        ],
    )
    def test_what_an_operator_can_mend_is_one_line_and_exit_code_2(self, environment, says):
        code, said = agi_gate("serve", **environment)
        assert (code, said.count("\n")) == (2, 1)
        assert said.startswith(f"agi-gate: {says}")
        assert "hunter2" not in said

    @pytest.mark.parametrize("processes", ["1", "2"])
    def test_a_port_that_is_taken_is_named(self, two, processes):
        code, said = agi_gate("serve", "--processes", processes, DNC_AGI_BIND=f"127.0.0.1:{two.port}")
        last = said.splitlines()[-1]
        assert code == 2
        assert last.startswith(f"agi-gate: DNC_AGI_BIND: cannot listen on 127.0.0.1:{two.port}: Address already in use")
        assert re.search(r"; DNC_AGI_BIND=127\.0\.0\.1:\d+ is free$", last)

    def test_a_metrics_port_that_is_taken_is_named_too(self, two, redis_server):
        code, said = agi_gate("serve", DNC_REDIS_URL=redis_server.url, DNC_METRICS_BIND=f"127.0.0.1:{two.port}")
        assert code == 2
        assert said.splitlines()[-1].startswith(f"agi-gate: DNC_METRICS_BIND: cannot listen on 127.0.0.1:{two.port}: ")


class TestCanary:
    def test_it_says_right_or_wrong_for_each_question(self, two):
        where = {"DNC_AGI_BIND": f"127.0.0.1:{two.port}"}
        assert agi_gate("canary", "--blocked", LISTED, "--allowed", FREE, **where)[0] == 0
        assert agi_gate("canary", "--allowed", LISTED, **where)[0] == 1
        assert agi_gate("canary", "--override", f"{LISTED}:lead-1", **where)[0] == 1

    def test_without_a_gate_it_says_so_in_one_line(self):
        code, said = agi_gate("canary")
        assert (code, said.count("\n")) == (2, 1)
        assert "cannot reach the gate at 127.0.0.1" in said


def assert_ends_after_its_conversation(gate: GateProcess, number: signal.Signals) -> None:
    """Send a signal in the middle of a request. The gate must answer the request, and then end."""
    with Pbx(gate.port) as pbx:
        pbx.send(header(FREE, "", "pbx-1.1")[:-1])
        gate.process.wait_until(lambda: gate.metric("dnc_gate_open_conversations") == 1)
        gate.process.signal(number)
        gate.process.wait_until(lambda: gate.get("/readyz")[0] != 200)
        pbx.send(b"\n")
        assert read_line(pbx.line())["DNC_VERDICT"] == "ALLOW-pbx-1.1"
        pbx.send(b"200 result=0\n")
    assert gate.process.wait() == 0


class TestStopping:
    def test_a_conversation_under_way_is_finished_before_the_gate_ends(self, two):
        assert_ends_after_its_conversation(two, signal.SIGTERM)

    def test_a_peer_that_says_nothing_does_not_hold_the_gate_up(self, two):
        with Pbx(two.port):
            two.process.wait_until(lambda: two.metric("dnc_gate_open_conversations") == 1)
            assert two.process.stop() == 0

    def test_sighup_ends_a_gate_with_one_process_when_its_conversations_are_finished(
        self, handmade: HandmadeProjection, redis_server: RedisServer, short_path: Path
    ):
        with GateProcess(short_path / "gate", redis_server.url, **PATIENT) as one:
            assert_ends_after_its_conversation(one, signal.SIGHUP)

    def test_a_process_that_hangs_does_not_keep_the_gate_from_ending(self, two):
        child = children_of(two)[0]
        os.kill(int(child), signal.SIGSTOP)
        two.process.signal(signal.SIGTERM)
        two.process.wait(60.0)
        assert f'"pid": {child}, "event": "gate process does not end; killing it"' in two.process.log_end()
        assert not serves(child)


def test_a_report_is_dropped_while_the_parent_does_not_read():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for _ in range(2_000):
        report({"calls": "9" * 100}, writing)
    lines = os.read(reading, 1_000_000).splitlines()
    assert len(lines) > 10
    assert json.loads(lines[0]) == {"calls": "9" * 100}
    report({"calls": "1"}, writing)
    assert json.loads(os.read(reading, 1000).splitlines()[-1]) == {"calls": "1"}
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        report({}, writing)
    os.close(writing)


class TestSeveralProcesses:
    def test_they_share_the_port_and_add_up_their_counts(self, two):
        two.process.wait_until(lambda: two.metric("dnc_gate_processes") == 2)
        for _ in range(40):
            assert two.screen(FREE).allowed
        two.process.wait_until(lambda: two.metric('dnc_gate_calls_total{reason="not-listed",verdict="ALLOW"}') == 40)

    def test_one_that_is_killed_is_replaced_and_no_count_goes_back(self, two, handmade):
        for _ in range(20):
            two.screen(LISTED)
        blocked = 'dnc_gate_calls_total{reason="internal-dnc",verdict="BLOCK"}'
        two.process.wait_until(lambda: two.metric(blocked) == 20)
        two.process.wait_until(lambda: bool(handmade.decisions()))  # Blocked calls are recorded after their answer.
        victim = int(handmade.decisions()[-1].gate.rpartition(":")[2])
        os.kill(victim, signal.SIGKILL)
        two.process.wait_until(lambda: "starting another" in two.process.log_end())
        for _ in range(20):
            assert two.screen(FREE).reason == "not-listed", "a new process accepts no call that it must block"
        two.until_ready()
        two.process.wait_until(lambda: two.metric(blocked) == 20)

    def test_children_end_when_their_parent_is_killed(self, two):
        children = children_of(two)
        assert len(children) == 2
        two.process.kill()
        deadline = time.monotonic() + 30
        while any(serves(child) for child in children):
            assert time.monotonic() < deadline, "a child outlived its parent"
            time.sleep(0.01)


def children_of(gate: GateProcess) -> list[str]:
    """Return the ids of the processes that serve."""
    return Path(f"/proc/{gate.process.pid}/task/{gate.process.pid}/children").read_text().split()


def serves(pid: str) -> bool:
    """Return whether a process is alive. A zombie has no command line."""
    cmdline = Path(f"/proc/{pid}/cmdline")
    return cmdline.exists() and cmdline.read_bytes() != b""
