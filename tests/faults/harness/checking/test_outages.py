"""Calls to numbers that nobody wanted on a list come back in time after each fault, on each gate."""

import pytest

from compliance.numbers import E164
from compliance.redis_schema import slot_of_number
from tests.faults.harness.checking.collected import collect
from tests.faults.harness.checking.outages import callable_calls, outages, wrongly_blocked
from tests.faults.harness.checking.stories import FREE, NUMBER, RESTED_MS, Story
from tests.faults.harness.history import Call
from tests.faults.harness.parts import part_of

OTHERS = [f"+1415{exchange}0100" for exchange in range(200, 260)]
BLOCKED = "BLOCK state-unverified"


def slot(number: str) -> int:
    return slot_of_number(E164(number))


@pytest.fixture
def story() -> Story:
    """Return a story with a fault from 1 s to 2 s; calls must be back at 12 s."""
    story = Story()
    story.fault(1000, 1000, 10)
    return story


def called(story: Story, first: int, last: int, said: str = BLOCKED, gate: str = "gate-1") -> None:
    """Call a number that nobody listed, ten times a second."""
    for at in range(first, last, 100):
        story.call(at, said, FREE, gate=gate)


def test_calls_that_come_back_in_time_are_right(story: Story):
    called(story, 0, 1000, "ALLOW not-listed")
    called(story, 1000, 11_900)
    called(story, 11_900, 20_000, "ALLOW not-listed")
    assert story.broken() == []


@pytest.mark.parametrize("said", [BLOCKED, "BLOCK store-unavailable", "BLOCK deadline", ""])
def test_calls_that_come_back_too_late_are_reported(story: Story, said: str):
    called(story, 1000, 13_200, said)
    called(story, 13_200, 20_000, "ALLOW not-listed")
    (violation,) = story.violations()
    assert violation.rule == "not-back"
    assert violation.events[0] == story.faults[0]


def test_calls_that_never_come_back_are_reported(story: Story):
    called(story, 1000, 30_000)
    assert story.broken() == ["not-back"]


def test_a_shard_that_does_not_come_back_is_reported_although_another_answers(story: Story):
    elsewhere = next(number for number in OTHERS if part_of(number) != part_of(FREE))
    for at in range(2000, 30_000, 100):
        story.call(at, "ALLOW not-listed", elsewhere)
    called(story, 2000, 30_000)
    assert story.broken() == ["not-back"]


@pytest.mark.parametrize("stopped", [0, 1], ids=["the old shard", "the slot that moved"])
def test_a_slot_that_moved_does_not_hide_the_outage_of_a_shard_nor_the_other_way_round(story: Story, stopped: int):
    moved = next(one for one in OTHERS if part_of(one) == part_of(FREE) and slot(one) != slot(FREE))
    story.fault(5000, 200, 10, kind="slots-move", target=f"0,{slot(moved)}")
    for at in range(2000, 30_000, 100):
        for number, said in zip((FREE, moved), (BLOCKED, "ALLOW not-listed")[:: -1 if stopped else 1], strict=True):
            story.call(at, said, number)
    (violation,) = story.violations()
    assert violation.rule == "not-back"
    assert {call.number for call in violation.events if isinstance(call, Call)} == {(FREE, moved)[stopped]}


def test_a_time_in_which_the_harness_stood_still_is_no_outage(story: Story):
    called(story, 2000, 20_000, "ALLOW not-listed")
    story.call(20_000, "BLOCK deadline", FREE)
    story.call(22_000, "BLOCK deadline", FREE)
    called(story, 22_100, 30_000, "ALLOW not-listed")
    assert story.broken() == ["not-back"]
    story.stall(20_100, 1900)
    assert story.broken() == []


def test_calls_that_come_back_and_stop_again_are_reported(story: Story):
    called(story, 2000, 20_000, "ALLOW not-listed")
    called(story, 20_000, 22_000)
    called(story, 22_000, 30_000, "ALLOW not-listed")
    assert story.broken() == ["not-back"]


def test_one_gate_that_does_not_come_back_is_reported_beside_one_that_does(story: Story):
    called(story, 1000, 30_000, gate="gate-2")
    called(story, 1000, 30_000, "ALLOW not-listed")
    (violation,) = story.violations()
    assert "gate-2" in violation.sentence


def test_a_moment_of_blocked_calls_is_counted_and_not_reported(story: Story):
    called(story, 15_000, 15_500, "BLOCK deadline")
    called(story, 15_500, 20_000, "ALLOW not-listed")
    assert story.broken() == []
    assert len(wrongly_blocked(collect(story.events()))) == 5


def test_while_the_next_fault_lasts_calls_need_not_be_back(story: Story):
    story.fault(11_000, 1000, 10)
    called(story, 1000, 21_900)
    called(story, 22_000, 23_000, "ALLOW not-listed")
    assert story.broken() == []


def test_a_report_names_the_last_fault_and_its_pair(story: Story):
    story.fault(3000, 1000, 1, kind="gate-kill", pair="p")
    story.fault(3100, 1000, 1, kind="worker-kill", pair="p")
    called(story, 12_000, 20_000)
    (violation,) = story.violations()
    assert "after gate-kill of redis and worker-kill of redis." in violation.sentence


def test_of_two_faults_at_one_time_the_later_bound_counts(story: Story):
    story.fault(1000, 9000, 10, pair="p")
    called(story, 1000, 19_900)
    called(story, 20_000, 23_000, "ALLOW not-listed")
    assert story.broken() == []
    called(story, 23_000, 25_000)
    assert story.broken() == ["not-back"]


def test_a_call_shortly_before_the_next_fault_may_be_stopped_by_it(story: Story):
    called(story, 12_000, 20_000, "ALLOW not-listed")
    story.call(19_990, BLOCKED, FREE)
    story.fault(20_000, 5000, 10)
    called(story, 20_000, 30_000)
    called(story, 30_000, 36_000, "ALLOW not-listed")
    assert story.broken() == []


def test_calls_are_not_stopped_before_the_first_fault():
    story = Story()
    called(story, 0, 5000)
    story.fault(10_000)
    called(story, 5000, 9000, "ALLOW not-listed")
    assert story.broken() == ["not-back"]


def test_calls_are_not_stopped_in_a_run_without_faults():
    story = Story()
    called(story, 0, 5000)
    assert story.broken() == ["not-back"]


def test_numbers_that_somebody_wanted_on_a_list_say_nothing_about_outages(story: Story):
    story.change("list", 900_000, "unknown")
    for at in range(20_000, 30_000, 100):
        story.call(at, BLOCKED, NUMBER)
    assert story.broken() == []


def test_calls_after_the_run_say_nothing_about_outages(story: Story):
    called(story, RESTED_MS + 100, RESTED_MS + 9000)
    assert callable_calls(collect(story.events())) == []


def test_an_outage_lasts_until_the_answer_of_the_next_allowed_call(story: Story):
    called(story, 1000, 3000)
    story.allow(3000, FREE, took=50)
    (outage,) = outages(callable_calls(collect(story.events())), frozenset())
    assert outage.seconds == pytest.approx(2.05)
    assert len(outage.calls) == 20
