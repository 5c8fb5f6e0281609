"""The screening of one call: whatever Redis does, and whenever, the call gets one decision, and never a guess."""

import asyncio
import math
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from agi_gate.gate import DeadlinePassed
from agi_gate.request import Request
from agi_gate.screening import Screening, Screenings
from agi_gate.store.questions import AnswerReceiver, Answers, Question, question
from agi_gate.store.wire import StoreUnavailable

ASKED = Request("screen", ("4155550100", ""), "pbx-1.1")
ANSWERS = Answers("run-1", None, None, True, [])
PING = question(("PING",))


class FakeLink:
    """Keeps the askers; raises StoreUnavailable when it is not connected."""

    def __init__(self, *, connected: bool = True) -> None:
        self.connected, self.asking = connected, list[AnswerReceiver]()

    def ask(self, asker: AnswerReceiver, question: Question) -> None:
        if not self.connected:
            raise StoreUnavailable("not connected")
        self.asking.append(asker)


class FakeGate:
    """A gate whose `screen` runs the given steps."""

    def __init__(self, steps: Callable) -> None:
        self._steps = steps

    def screen(self, request: Request):
        return self._steps()

    def failed(self, request: Request) -> str:
        return "failed"


def asks_twice():
    seen = []
    for _ in range(2):
        try:
            seen.append(type((yield PING)).__name__)
        except (StoreUnavailable, DeadlinePassed) as error:
            seen.append(type(error).__name__)
            if isinstance(error, DeadlinePassed):
                break
    return seen


def screening(steps=asks_twice, *, connected: bool = True, due: float = math.inf):
    link, decided = FakeLink(connected=connected), []
    return Screening(FakeGate(steps), link, ASKED, decided.append, due=due), link, decided


def test_each_answer_takes_one_step_and_the_last_one_decides():
    call, link, decided = screening()
    call.begin()
    call.answered(ANSWERS)
    assert (decided, call.over, link.asking) == ([], False, [call, call])
    call.answered(ANSWERS)
    assert (decided, call.over) == ([["Answers", "Answers"]], True)


def test_a_question_that_cannot_be_put_is_one_without_an_answer():
    call, link, decided = screening(connected=False)
    call.begin()
    assert (decided, link.asking) == ([["StoreUnavailable", "StoreUnavailable"]], [])


def test_after_its_deadline_a_call_hears_no_answer():
    call, _, decided = screening()
    call.begin()
    call.expire()
    call.answered(ANSWERS)
    call.failed(StoreUnavailable("late"))
    assert decided == [["DeadlinePassed"]]


def test_an_answer_that_is_read_after_the_deadline_counts_as_none_although_no_timer_has_run():
    call, _, decided = screening(due=0.0)
    call.begin()
    call.answered(ANSWERS)
    assert decided == [["DeadlinePassed"]]


@pytest.mark.parametrize("answers", [0, 1])
def test_a_fault_at_any_step_blocks_the_call_and_is_logged_whole(answers):
    def breaks():
        for _ in range(answers):
            yield PING
        raise KeyError("a fault")

    call, _, decided = screening(breaks)
    with capture_logs() as said:
        call.begin()
        for _ in range(answers):
            call.answered(ANSWERS)
    assert (decided, call.over) == (["failed"], True)
    assert [(line["event"], line["exc_info"]) for line in said] == [("screening failed", True)]


async def test_a_call_that_nobody_answers_is_over_by_its_deadline():
    decided = asyncio.get_running_loop().create_future()
    Screenings(FakeGate(asks_twice), FakeLink(), deadline_s=0.02).begin(ASKED, decided.set_result)
    assert await asyncio.wait_for(decided, 60) == ["DeadlinePassed"]


def test_an_answer_that_cannot_be_given_is_logged_and_goes_no_further():
    def unable(decision: object) -> None:
        raise ValueError("a value contains characters that no AGI line may have")

    with capture_logs() as said:
        call = Screening(FakeGate(asks_twice), FakeLink(connected=False), ASKED, unable, due=math.inf)
        call.begin()
    assert (call.over, [(line["event"], line["channel"]) for line in said]) == (
        True, [("answering failed", "pbx-1.1")]
    )  # fmt: skip
