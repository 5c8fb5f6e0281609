"""At rest Redis holds what SQL says, nothing waits, and a history that was cut off does not pass."""

import gc

import pytest

from tests.faults.harness.checker import check, report
from tests.faults.harness.checking.stories import Story, dropped, edited
from tests.faults.harness.history import Call, Change, Event, Fault, Left, Rested, Run, Verified


@pytest.fixture
def story() -> Story:
    story = Story()
    story.allow(0)
    return story


def test_a_verify_that_finds_differences_is_reported(story: Story):
    assert story.broken(edited(Verified, code=1, said="DANGER")) == ["drift"]


def test_a_verify_that_finds_changes_not_yet_in_force_is_reported(story: Story):
    assert story.broken(edited(Verified, code=3)) == ["drift"]


def test_a_verify_that_failed_is_reported(story: Story):
    assert story.broken(edited(Verified, code=2)) == ["drift"]


@pytest.mark.parametrize("where", ["dnc:decisions", "outbox"])
def test_what_is_left_at_rest_is_reported(story: Story, where: str):
    assert story.broken(edited(Left, where=where, count=1)) == ["left-over"]


@pytest.mark.parametrize("part", [Run, Call, Rested, Verified, Left])
def test_a_history_without_one_of_its_parts_is_reported(story: Story, part: type[Event]):
    assert "incomplete-history" in story.broken(dropped(part))


def test_an_empty_history_is_reported():
    assert {violation.rule for violation in check([])} == {"incomplete-history"}


def test_two_histories_are_not_checked_as_one(story: Story):
    assert "incomplete-history" in story.broken(lambda events: [*events, story.run])


def test_a_fault_that_never_ended_is_reported(story: Story):
    story.fault(10)
    assert story.broken(edited(Fault, ended=None)) == ["incomplete-history"]


def test_an_outcome_without_a_time_is_reported(story: Story):
    story.change("list", 10)
    assert story.broken(edited(Change, answered=None)) == ["incomplete-history"]


def test_a_report_shows_the_first_violations_of_each_rule_and_counts_the_others():
    story = Story()
    story.change("list", 0)
    for at in range(20):
        story.allow(10 + at)
    lines = list(report([*story.violations(), *story.violations(edited(Verified, code=1))[-1:]]))
    assert sum(line.startswith("allow-after-block: +1") for line in lines) == 5
    assert "allow-after-block: and 15 more" in lines
    assert lines[-2].startswith("drift: ")


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_as_it_was_after_a_check(*, enabled: bool):
    was_enabled = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        check([])
        assert gc.isenabled() == enabled
    finally:
        gc.enable() if was_enabled else gc.disable()
