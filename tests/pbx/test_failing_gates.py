"""Failures of the gate, on a real Asterisk: no call reaches the trunk, and each call ends soon."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from lab.line import Line, Placed
from lab.process import Process, accepts, free_port
from lab.sipp import Call
from tests.pbx.gates import Behaviour, FakeGate, allow, ending_with, hold, saying, verdict
from tests.pbx.in_time import placed_in_time

Gates = Callable[[Behaviour], FakeGate]
LISTED = "4155550100"
AT_MOST_S = 12.0
"""Maximum seconds until a blocked call ends: the time limit of two seconds, and a busy machine."""

LONG_S = 9
"""A time limit for calls that a test ends earlier."""

SILENT_PROGRAM = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=100)
held = [server.accept()]  # The first one is the test, which looks whether anybody listens.
while True:
    held.append(server.accept())
    print("holds a call", flush=True)
"""


def assert_blocked(line: Line, placed: list[Placed], reason: str) -> None:
    assert line.trunk.numbers() == []
    assert {call.status for call in placed} == {403}
    assert max(call.outcome.seconds for call in placed) < AT_MOST_S
    assert {call.record["dnc_verdict"] for call in placed} == {"BLOCK"}
    assert {call.record["dnc_reason"] for call in placed} == {reason}
    assert {call.record["dnc_lead"] for call in placed} == {"lead-7"}


def several(count: int = 3) -> list[Call]:
    return [Call(LISTED, "lead-7")] * count


async def close_at_once(*_: object) -> None:
    pass


FAILURES: dict[str, tuple[Behaviour, str]] = {
    "closes at once": (close_at_once, "gate-broke-off"),
    "never answers": (hold, "gate-silent"),
    "says failure": (saying(lambda _: "failure\n"), "gate-unreachable"),
    "says nothing but a line end": (ending_with(lambda _: "\n"), "gate-broke-off"),
    "says what no gate says": (ending_with(lambda _: "ALLOW\n"), "gate-broke-off"),
    "dies after half a line": (ending_with(lambda r: verdict(r)[:20]), "gate-broke-off"),
    "dies within the unique id": (ending_with(lambda r: verdict(r).partition(",")[0][:-1]), "gate-broke-off"),
    "dies after the verdict": (ending_with(lambda r: verdict(r).partition(",")[0]), "gate-broke-off"),
    "dies within the number": (ending_with(lambda r: verdict(r).partition("50100")[0]), "gate-broke-off"),
    "dies within the reason": (ending_with(lambda r: verdict(r).partition("isted")[0]), "gate-broke-off"),
    "dies within a blocking line": (
        ending_with(lambda r: verdict(r, "BLOCK", "internal-dnc").partition("nal-dnc")[0]),
        "gate-broke-off",
    ),
    "allows another channel": (saying(lambda r: verdict(r, "ALLOW-1700000000.1") + "\n"), "gate-broke-off"),
    "allows no channel": (saying(lambda r: verdict(r, "ALLOW") + "\n"), "gate-broke-off"),
    "allows with an empty id": (saying(lambda r: verdict(r, "ALLOW-") + "\n"), "gate-broke-off"),
    "allows a longer id": (saying(lambda r: verdict(r, f"ALLOW-{r['agi_uniqueid']}0") + "\n"), "gate-broke-off"),
    "allows in small letters": (saying(lambda r: verdict(r, f"allow-{r['agi_uniqueid']}") + "\n"), "gate-broke-off"),
    "allows without a number": (saying(lambda r: verdict(r, DNC_NUMBER="") + "\n"), "gate-broke-off"),
    "allows two numbers": (
        saying(lambda r: verdict(r, DNC_NUMBER="+14155550100&PJSIP/14155550199@trunk") + "\n"),
        "gate-broke-off",
    ),
    "allows without a decision": (saying(lambda r: verdict(r, DNC_DECISION="") + "\n"), "gate-broke-off"),
    "says two lines": (
        saying(lambda r: verdict(r, "ALLOW-1700000000.1") + "\n" + verdict(r, "ALLOW-1700000000.2") + "\n"),
        "gate-broke-off",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_gate_that_fails_blocks(line: Line, gate: Gates, failure: str) -> None:
    behaviour, reason = FAILURES[failure]
    gate(behaviour)
    assert_blocked(line, line.place(*several()), reason)


def test_a_gate_that_is_not_running_blocks(line: Line) -> None:
    assert_blocked(line, line.place(*several()), "gate-unreachable")


@pytest.mark.parametrize("address", ["", "127.0.0.1:99999", "127.0.0.1:0", "no such host"])
def test_an_address_that_is_none_blocks(line: Line, address: str) -> None:
    line.pbx.set_global("DNC_GATE", address)
    assert_blocked(line, line.place(*several(1)), "gate-unreachable")


def test_a_gate_that_is_killed_while_it_holds_calls_blocks_them(line: Line, tmp_path: Path) -> None:
    port = free_port()
    with Process([sys.executable, "-c", SILENT_PROGRAM, str(port)], tmp_path / "gate.log") as silent:
        silent.wait_until(lambda: accepts(("127.0.0.1", port)))
        line.pbx.set_global("DNC_GATE", f"127.0.0.1:{port}")
        line.pbx.set_global("DNC_TIMEOUT", str(LONG_S))
        killing = Thread(target=when, args=(lambda: silent.log.read_text().count("holds a call") == 20, silent.kill))
        killing.start()
        placed = line.place(*several(20), per_second=100)
        killing.join()
    assert_blocked(line, placed, "gate-broke-off")


def when(holds: Callable[[], bool], act: Callable[[], object]) -> None:
    """Act as soon as it holds, or after a minute."""
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    act()


def test_a_gate_that_resets_its_connections_blocks(line: Line, gate: Gates) -> None:
    fake = gate(hold)
    line.pbx.set_global("DNC_TIMEOUT", str(LONG_S))
    breaking = Thread(target=when, args=(lambda: len(fake.heard) == 3, fake.break_off))
    breaking.start()
    placed = line.place(*several(), per_second=100)
    breaking.join()
    assert_blocked(line, placed, "gate-broke-off")


def test_a_gate_that_allows_and_then_keeps_the_line_open_is_a_silent_gate(line: Line, gate: Gates) -> None:
    async def behave(request: dict[str, str], reader: object, writer: object) -> None:
        await saying(lambda r: verdict(r) + "\n")(request, reader, writer)  # type: ignore[arg-type]
        await hold(request, reader, writer)  # type: ignore[arg-type]

    gate(behave)
    assert_blocked(line, line.place(*several()), "gate-silent")


@pytest.mark.parametrize(("told", "seconds"), [("1", 1.0), ("2", 2.0), ("0", 2.0), ("-1", 2.0), ("soon", 2.0)])
def test_the_time_limit_is_a_setting_and_no_setting_turns_it_off(
    line: Line, gate: Gates, told: str, seconds: float
) -> None:
    gate(hold)
    line.pbx.set_global("DNC_TIMEOUT", told)
    placed = placed_in_time(line, Call(LISTED, "lead-7"), seconds + 0.5)
    assert_blocked(line, [placed], "gate-silent")
    assert abs(placed.outcome.seconds - seconds) < 0.5


def test_a_notice_after_a_silent_gate_is_played_and_the_reason_kept(line: Line, gate: Gates) -> None:
    gate(hold)
    line.pbx.set_global("DNC_TIMEOUT", "1")
    line.pbx.set_global("DNC_NOTICE", "vm-goodbye")
    [placed] = line.place(Call(LISTED))
    assert placed.status == 403
    assert placed.outcome.seconds > 1.5
    assert placed.record["dnc_reason"] == "gate-silent"


def test_a_caller_who_hangs_up_while_the_gate_thinks_is_recorded_as_such(line: Line, gate: Gates) -> None:
    gate(hold)
    [placed] = line.give_up(Call(LISTED, "lead-7"), after_ms=800)
    assert placed.status == 487
    assert placed.record["dnc_verdict"] == "BLOCK"
    assert placed.record["dnc_reason"] == "hung-up"
    assert line.trunk.numbers() == []


def test_service_is_back_as_soon_as_the_gate_is(line: Line, gate: Gates) -> None:
    assert_blocked(line, line.place(*several()), "gate-unreachable")
    gate(allow)
    assert [call.status for call in line.place(*several())] == [200, 200, 200]
