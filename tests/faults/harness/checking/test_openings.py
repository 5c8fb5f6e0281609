"""Away from faults, an override that was answered in force opens its lead."""

import pytest

from tests.faults.harness.checking.stories import LEAD, WALL, Story


@pytest.fixture
def story() -> Story:
    """Return a story with a listed number and an override in force."""
    story = Story()
    story.change("list", 0)
    story.change("grant", 10, expires=WALL + 10_000)
    return story


def test_a_call_that_an_override_in_force_must_open_is_not_blocked(story: Story):
    story.block(13, lead=LEAD)
    assert story.broken() == ["override-not-open"]


def test_a_call_under_way_when_the_override_came_into_force_may_be_blocked(story: Story):
    story.block(12, lead=LEAD)
    assert story.broken() == []


def test_a_call_that_ends_after_the_override_may_be_blocked(story: Story):
    story.block(9990, lead=LEAD, took=20)
    assert story.broken() == []


def test_the_override_of_another_lead_opens_nothing(story: Story):
    story.block(13, lead="L-2")
    story.block(13)
    assert story.broken() == []


def test_after_a_revocation_or_a_request_that_ended_it_an_override_need_not_open(story: Story):
    story.change("revoke", 20, id="1")
    story.block(21, lead=LEAD)
    story.change("grant", 30)
    story.change("list", 40, ended=("3",))
    story.block(41, lead=LEAD)
    assert story.broken() == []


def test_an_override_that_is_only_recorded_need_not_open(story: Story):
    story.change("grant", 10, "recorded", lead="L-2")
    story.block(20, lead="L-2")
    assert story.broken() == []


def test_an_override_that_an_unknown_change_may_have_ended_need_not_open(story: Story):
    story.change("list", 20, "unknown")
    story.block(30, lead=LEAD)
    assert story.broken() == []


def test_during_a_fault_and_until_calls_must_be_back_an_override_need_not_open(story: Story):
    story.fault(20, 100, 1)
    story.block(1119, lead=LEAD)
    assert story.broken() == []
    story.block(1121, lead=LEAD)
    assert story.broken() == ["override-not-open"]
