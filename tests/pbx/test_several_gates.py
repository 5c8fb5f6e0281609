"""A list of gates on a real Asterisk: the first one that answers decides, and the others cost a limited time."""

from collections.abc import Callable, Iterator

import pytest

from lab.asterisk import Asterisk
from lab.line import Line, Placed
from lab.sipp import Call
from tests.pbx.conftest import NOBODY
from tests.pbx.gates import Behaviour, FakeGate, allow, block, ending_with, hold, saying, verdict
from tests.pbx.in_time import placed_in_time

LISTED = "4155550100"
SLACK_S = 1.0
"""Seconds that dialling and answers may take in addition to the waiting. The waiting is measured as a fraction of the
time for one silent gate, because the clocks of a virtual machine may disagree on a second."""

Gates = Callable[..., list[FakeGate]]


async def close_at_once(*_: object) -> None:
    pass


half = ending_with(lambda r: verdict(r).partition("50100")[0])
"""Dies in the middle of the number, after it has sent its verdict, an ALLOW for this channel."""

FAILURES: dict[str, tuple[Behaviour | None, float]] = {
    "is dead": (None, 0.0),
    "is silent": (hold, 0.5),
    "closes at once": (close_at_once, 0.0),
    "dies after half a line": (half, 0.0),
    "dies after the verdict": (ending_with(lambda r: verdict(r).partition(",")[0]), 0.0),
    "allows another channel": (saying(lambda r: verdict(r, "ALLOW-1700000000.1") + "\n"), 0.0),
    "says failure": (saying(lambda _: "failure\n"), 0.0),
}


@pytest.fixture
def gates(line: Line) -> Iterator[Gates]:
    """Returns a function that starts gates (None: not running) and makes the PBX try them in this order."""
    started: list[FakeGate] = []

    def start(*behaviours: Behaviour | None) -> list[FakeGate]:
        ours = [FakeGate(behaviour).start() for behaviour in behaviours if behaviour is not None]
        started.extend(ours)
        addresses = iter(fake.address for fake in ours)
        listed = [NOBODY if behaviour is None else next(addresses) for behaviour in behaviours]
        line.pbx.set_global("DNC_GATE", "&".join(listed))
        return ours

    yield start
    for fake in started:
        fake.stop()


@pytest.fixture(scope="module")
def limit_s(pbx: Asterisk, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Measured length of the two-second limit: the duration of a call whose only gate is silent."""
    silent = FakeGate(hold).start()
    pbx.set_global("DNC_GATE", silent.address)
    with Line(pbx, tmp_path_factory.mktemp("alone")) as line:
        call = placed(line)
    silent.stop()
    return call.outcome.seconds


def placed(line: Line, within_s: float = 60.0) -> Placed:
    return placed_in_time(line, Call(LISTED, "lead-7"), within_s)


def test_the_first_gate_decides_and_the_second_is_not_asked(line: Line, gates: Gates) -> None:
    _, second = gates(block, allow)
    call = placed(line)
    assert (call.status, call.record["dnc_reason"]) == (403, "internal-dnc")
    assert second.heard == []
    assert line.trunk.numbers() == []


@pytest.mark.parametrize("failure", FAILURES)
def test_after_a_gate_that_fails_the_second_one_allows(line: Line, gates: Gates, failure: str, limit_s: float) -> None:
    behaviour, part = FAILURES[failure]
    gates(behaviour, allow)
    call = placed(line, part * limit_s + SLACK_S)
    assert (call.status, call.record["dnc_verdict"], call.record["dnc_lead"]) == (200, "ALLOW", "lead-7")
    assert set(line.trunk.numbers()) == {"+14155550100"}
    assert call.outcome.seconds < part * limit_s + SLACK_S


@pytest.mark.parametrize("failure", FAILURES)
def test_after_a_gate_that_fails_the_second_one_blocks(line: Line, gates: Gates, failure: str) -> None:
    gates(FAILURES[failure][0], block)
    call = placed(line)
    record = call.record
    assert (call.status, record["dnc_verdict"], record["dnc_reason"]) == (403, "BLOCK", "internal-dnc")
    assert line.trunk.numbers() == []


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("is dead", "is dead", "gate-unreachable"),
        ("is silent", "is silent", "gate-silent"),
        ("is dead", "is silent", "gate-silent"),
        ("is silent", "is dead", "gate-unreachable"),
        ("dies after half a line", "dies after the verdict", "gate-broke-off"),
        ("dies after the verdict", "dies after half a line", "gate-broke-off"),
    ],
)
def test_when_all_fail_the_call_is_blocked_within_one_limit_for_all(
    line: Line, gates: Gates, first: str, second: str, reason: str, limit_s: float
) -> None:
    gates(FAILURES[first][0], FAILURES[second][0])
    call = placed(line, limit_s + SLACK_S)
    assert (call.status, call.record["dnc_verdict"], call.record["dnc_reason"]) == (403, "BLOCK", reason)
    assert line.trunk.numbers() == []
    assert call.outcome.seconds < limit_s + SLACK_S


def test_half_of_one_answer_does_not_complete_half_of_another(line: Line, gates: Gates) -> None:
    whole_but_for_the_verdict = ending_with(lambda r: verdict(r).partition(",")[2].join(('EXEC MSet "', "\n")))
    gates(ending_with(lambda r: verdict(r).partition(",")[0]), whole_but_for_the_verdict)
    call = placed(line)
    assert (call.status, call.record["dnc_verdict"]) == (403, "BLOCK")
    assert line.trunk.numbers() == []


def test_five_silent_gates_take_no_longer_than_one(line: Line, gates: Gates, limit_s: float) -> None:
    gates(*[hold] * 5)
    call = placed(line, limit_s + SLACK_S)
    assert (call.status, call.record["dnc_reason"]) == (403, "gate-silent")
    assert call.outcome.seconds < limit_s + SLACK_S


def test_calls_at_once_each_find_the_second_gate(line: Line, gates: Gates) -> None:
    gates(hold, allow)
    assert [call.status for call in line.place(*[Call(LISTED, "lead-7")] * 3)] == [200, 200, 200]
