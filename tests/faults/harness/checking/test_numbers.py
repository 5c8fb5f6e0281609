"""Which calls the changes of their number explain, and which rule an unexplained one breaks."""

import pytest

from tests.faults.harness.checking.collected import LEASE_SLACK_MS
from tests.faults.harness.checking.stories import (
    DEADLINE_MS,
    FREE,
    LEAD,
    LEASE_MS,
    NUMBER,
    OTHER,
    RESTED_MS,
    SLACK_MS,
    WALL,
    Story,
    dropped,
    edited,
    ns,
)
from tests.faults.harness.history import Call, Change, Entry, OverrideRow, Rested, Run

BOUND_MS = DEADLINE_MS + SLACK_MS


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_right_story_reports_nothing(story: Story):
    story.allow(0)
    story.change("list", 10)
    story.block(20)
    story.change("grant", 30)
    story.open(40)
    story.block(41, lead="L-2")
    story.call(42, "BLOCK store-unavailable")
    story.call(43, "BLOCK deadline", took=200)
    story.call(44, "ALLOW emergency", "911")
    story.call(45, "")
    story.change("revoke", 50, id="1")
    story.block(60, lead=LEAD)
    story.change("lift", 70)
    story.allow(80)
    story.allow(80, FREE)
    story.change("import", 90, numbers=(NUMBER, OTHER))
    story.block(100, OTHER)
    assert story.broken() == []


def test_no_call_is_allowed_after_a_block_was_answered_in_force(story: Story):
    block = story.change("list", 10)
    call = story.allow(13)
    (violation,) = story.violations()
    assert violation.rule == "allow-after-block"
    assert violation.events == (block, call)


def test_no_call_is_allowed_after_an_import_was_answered_in_force(story: Story):
    story.change("import", 10, numbers=(OTHER, NUMBER))
    story.allow(13)
    story.allow(13, OTHER)
    assert story.broken() == ["allow-after-block"] * 2


def test_a_call_of_the_same_nanosecond_as_the_answer_may_be_the_earlier_one(story: Story):
    story.change("list", 10)
    story.allow(12)
    assert story.broken() == []


def test_a_call_that_was_under_way_may_be_allowed_within_the_deadline(story: Story):
    story.change("list", 10)
    story.allow(11.9, took=BOUND_MS)
    story.allow(0, took=12 + BOUND_MS)
    assert story.broken() == []


def test_a_call_that_was_under_way_is_not_allowed_after_the_deadline(story: Story):
    story.change("list", 10)
    story.allow(0, took=13 + BOUND_MS)
    assert story.broken() == ["late-allow"]


def test_an_answer_that_the_harness_saw_late_may_have_arrived_when_it_stood_still(story: Story):
    story.change("list", 10)
    story.allow(0, took=1000)
    story.stall(12 + BOUND_MS, 1000 - SLACK_MS - 12 - BOUND_MS)
    assert story.broken() == []


@pytest.mark.parametrize(
    ("at", "lasted"),
    [(13 + BOUND_MS, 900), (0, 12 + BOUND_MS), (12 + BOUND_MS, 999 - SLACK_MS - 12 - BOUND_MS), (1001, 10)],
)
def test_another_stall_of_the_harness_excuses_no_late_answer(story: Story, at: int, lasted: int):
    story.change("list", 10)
    story.allow(0, took=1000)
    story.stall(at, lasted)
    assert story.broken() == ["late-allow"]


def test_a_late_answer_is_right_as_long_as_it_is_true(story: Story):
    story.allow(0, took=5000)
    story.change("list", 6000)
    story.change("lift", 6010)
    story.allow(5000, took=5000)
    assert story.broken() == []


def test_an_override_that_was_revoked_meanwhile_opens_a_call_under_way_only_within_the_deadline(story: Story):
    story.change("grant", 0)
    story.change("revoke", 10, id="0")
    story.open(11, took=BOUND_MS)
    story.open(9, took=4 + BOUND_MS)
    assert story.broken() == ["late-allow"]


def test_a_block_that_was_only_recorded_may_come_into_force_late(story: Story):
    story.change("list", 10, "recorded")
    story.allow(500)
    story.block(600)
    assert story.broken() == []


def test_a_block_that_was_seen_stays(story: Story):
    story.change("list", 10, "recorded")
    seen = story.block(500)
    story.allow(600)
    (violation,) = story.violations()
    assert violation.rule == "allow-after-sight"
    assert seen in violation.events


def test_two_calls_at_once_may_see_a_block_and_none(story: Story):
    story.change("list", 10, "recorded")
    story.block(500, took=5)
    story.allow(505)
    assert story.broken() == []


def test_without_a_block_that_was_recorded_calls_are_allowed_for_one_lease_at_most(story: Story):
    story.change("list", 10, "recorded")
    story.allow(12 + LEASE_MS)
    assert story.broken() == []
    story.allow(13 + LEASE_MS + LEASE_SLACK_MS)
    assert story.broken() == ["allow-after-lease"]


def test_without_a_lease_a_block_that_was_recorded_is_in_force_at_rest(story: Story):
    without_lease = edited(Run, lease_ms=0)
    story.change("list", RESTED_MS - 500, "recorded")
    story.allow(RESTED_MS - 1)
    assert story.broken(without_lease) == []
    story.allow(RESTED_MS + 1)
    assert story.broken(without_lease) == ["allow-after-sight"]


def test_everything_recorded_is_in_force_at_rest_even_within_a_lease(story: Story):
    story.change("list", RESTED_MS - 500, "recorded")
    story.allow(RESTED_MS + 1)
    assert story.broken() == ["allow-after-sight"]


def test_a_block_that_is_in_force_brings_earlier_changes_of_its_number_into_force(story: Story):
    story.change("lift", 0, "recorded")
    story.change("list", 10)
    story.allow(20)
    assert story.broken() == ["allow-after-block"]


def test_a_lift_of_unknown_outcome_may_come_at_any_time(story: Story):
    story.change("list", 0)
    story.change("lift", 10, "unknown", happened=True)
    story.block(20)
    story.allow(900)
    assert story.broken() == []


def test_a_lift_of_unknown_outcome_without_an_audit_event_never_happened(story: Story):
    story.change("list", 0)
    story.change("lift", 10, "unknown")
    story.allow(900)
    assert story.broken() == ["allow-after-block"]


def test_a_lift_that_was_refused_opens_nothing(story: Story):
    story.change("list", 0)
    story.change("lift", 10, "refused")
    story.allow(20)
    assert story.broken() == ["allow-after-block"]


def test_two_overlapping_changes_may_come_in_either_order(story: Story):
    story.change("lift", 10, took=5)
    story.change("list", 11, took=3)
    story.allow(20)
    assert story.broken(edited(Entry, lifted=1)) == []


def test_two_overlapping_changes_come_in_one_order(story: Story):
    story.change("lift", 10, took=5)
    story.change("list", 11, took=3)
    story.allow(20)
    story.block(30)
    assert story.broken(edited(Entry, lifted=1)) == ["false-block"]


def test_an_allow_on_an_order_that_a_call_has_ruled_out_is_one_after_a_sight(story: Story):
    story.change("lift", 10, took=5)
    story.change("list", 11, took=3)
    story.block(20)
    story.allow(30)
    assert story.broken() == ["allow-after-sight"]


def test_sql_at_the_end_is_what_the_calls_saw_last(story: Story):
    story.change("lift", 10, took=5)
    story.change("list", 11, took=3)
    story.allow(20)
    assert story.broken() == ["change-lost"]


def test_a_block_that_is_lost_in_sql_is_reported(story: Story):
    story.change("list", 10)
    story.block(20)
    assert story.broken(dropped(Entry)) == ["change-lost"]


def test_a_lift_that_is_lost_in_sql_is_reported(story: Story):
    story.change("list", 10)
    story.change("lift", 20, "recorded")
    story.allow(30)
    assert story.broken(edited(Entry, lifted=0)) == ["change-lost"]


def test_a_number_that_was_never_listed_is_not_blocked_for_a_list(story: Story):
    story.block(0)
    assert story.broken() == ["false-block"]


def test_a_number_is_not_blocked_for_a_list_that_it_is_not_on(story: Story):
    story.change("list", 0)
    story.call(10, "BLOCK us-ftc-dnc")
    assert story.broken() == ["false-block"]


def test_a_number_is_not_blocked_before_anybody_asked_for_it(story: Story):
    story.block(0)
    story.change("list", 10)
    assert story.broken() == ["false-block"]


def test_a_block_may_be_seen_before_it_was_answered(story: Story):
    story.change("list", 10, took=50)
    story.block(20)
    story.allow(15)
    assert story.broken() == []


def test_a_number_is_not_blocked_after_its_lift_was_answered_in_force(story: Story):
    story.change("list", 0)
    story.change("lift", 10)
    story.block(20)
    assert story.broken() == ["false-block"]


def test_a_number_on_two_lists_is_open_only_off_both(story: Story):
    story.change("list", 0)
    story.change("import", 10, list="us-ftc")
    story.change("lift", 20)
    story.call(30, "BLOCK us-ftc-dnc")
    story.allow(40)
    assert story.broken() == ["allow-after-block"]


def test_no_override_opens_another_lead(story: Story):
    story.change("grant", 0)
    story.open(10, lead="L-2")
    assert story.broken() == ["override-of-nobody"]


def test_no_override_opens_another_number(story: Story):
    story.change("grant", 0)
    story.open(10, OTHER)
    assert story.broken() == ["override-of-nobody"]


def test_no_override_opens_before_anybody_asked_for_it(story: Story):
    story.open(0)
    story.change("grant", 10)
    assert story.broken() == ["override-of-nobody"]


def test_a_grant_that_was_refused_opens_nothing(story: Story):
    story.change("grant", 0, "refused")
    story.open(10)
    assert story.broken() == ["override-of-nobody"]


def test_a_grant_of_unknown_outcome_opens_if_sql_has_it(story: Story):
    story.change("grant", 0, "unknown", happened=True)
    story.open(10)
    assert story.broken() == []


def test_a_grant_of_unknown_outcome_opens_nothing_if_sql_lacks_it(story: Story):
    story.change("grant", 0, "unknown")
    story.open(10)
    assert story.broken() == ["override-of-nobody"]


def test_the_end_of_a_grant_of_unknown_outcome_is_that_in_sql(story: Story):
    story.change("grant", 0, "unknown", happened=True)
    end = edited(OverrideRow, expires=WALL + 100)
    story.open(99)
    assert story.broken(end) == []
    story.open(100)
    assert story.broken(end) == ["override-after-end"]


def test_of_two_grants_of_unknown_outcome_the_first_may_have_made_the_only_override(story: Story):
    story.change("grant", 0, "unknown", happened=True)
    story.change("grant", 50, "unknown")
    story.open(10)
    story.open(60)
    assert story.broken() == []


def test_an_override_opens_until_its_end_and_no_longer(story: Story):
    story.change("grant", 0, expires=WALL + 100)
    story.open(99)
    assert story.broken() == []
    story.open(100)
    assert story.broken() == ["override-after-end"]


def test_an_override_that_ends_in_the_middle_of_a_call_may_open_it_within_the_deadline(story: Story):
    story.change("grant", 0, expires=WALL + 100)
    story.open(99, took=BOUND_MS)
    assert story.broken() == []
    story.open(99, took=BOUND_MS + 10)
    assert story.broken() == ["late-allow"]


def test_an_override_that_is_replaced_opens_until_the_end_of_the_second(story: Story):
    story.change("grant", 0, expires=WALL + 100)
    story.change("grant", 50, expires=WALL + 200)
    story.open(150)
    story.open(201)
    assert story.broken() == ["override-after-end"]


def test_while_the_clock_of_redis_is_wrong_the_end_of_an_override_is_not_known(story: Story):
    story.change("grant", 0, expires=WALL + 100)
    story.open(150)
    story.fault(90, 100, kind="clock-back", target="redis", wrong_wall=True)
    assert story.broken() == []


@pytest.mark.parametrize("began", [10, 160])
def test_a_clock_of_redis_that_is_wrong_at_another_time_excuses_nothing(story: Story, began: int):
    story.change("grant", 0, expires=WALL + 100)
    story.open(150)
    story.fault(began, 100, kind="clock-back", target="redis", wrong_wall=True)
    assert story.broken() == ["override-after-end"]


def test_a_wrong_clock_of_a_gate_excuses_nothing(story: Story):
    story.change("grant", 0, expires=WALL + 100)
    story.open(150)
    story.fault(90, 100, kind="clock-back", target="gate-1", wrong_wall=True)
    assert story.broken() == ["override-after-end"]


def test_no_override_opens_after_its_revocation_was_answered_in_force(story: Story):
    story.change("grant", 0)
    story.change("revoke", 10, id="0")
    story.open(13)
    assert story.broken() == ["override-after-revoke"]


def test_a_call_of_the_same_nanosecond_as_the_revocation_may_be_the_earlier_one(story: Story):
    story.change("grant", 0)
    story.change("revoke", 10, id="0")
    story.open(12)
    assert story.broken() == []


def test_a_revocation_that_was_only_recorded_may_come_into_force_late(story: Story):
    story.change("grant", 0)
    story.change("revoke", 10, "recorded", id="0")
    story.open(12 + LEASE_MS)
    assert story.broken() == []
    story.open(13 + LEASE_MS + LEASE_SLACK_MS)
    assert story.broken() == ["override-after-revoke"]


def test_the_revocation_of_another_override_ends_nothing(story: Story):
    story.change("grant", 0)
    story.change("grant", 5)
    story.change("revoke", 10, id="0")
    story.open(20)
    assert story.broken() == []


def test_no_override_opens_after_a_request_has_ended_it(story: Story):
    story.change("grant", 0)
    story.change("list", 10, ended=("0",))
    story.open(20)
    assert story.broken() == ["override-after-revoke"]


def test_an_override_outlives_a_request_that_did_not_end_it(story: Story):
    story.change("grant", 0)
    story.change("list", 10)
    story.open(20)
    assert story.broken() == []


def test_calls_without_an_answer_and_faults_of_the_gate_say_nothing_of_their_number(story: Story):
    story.change("list", 0)
    story.call(10, "")
    story.call(10, "BLOCK state-unverified")
    story.call(10, "ALLOW emergency")
    assert story.broken() == []


def test_without_an_end_what_was_recorded_may_come_until_the_end_of_the_lease(story: Story):
    story.change("list", RESTED_MS, "recorded")
    story.allow(RESTED_MS + LEASE_MS)
    assert story.broken(dropped(Rested)) == ["incomplete-history"]


def test_changes_that_overlap_beyond_measure_are_reported(story: Story):
    for at in range(40):
        story.change("list" if at % 2 else "lift", 0, took=500 + at)
    story.block(600)
    story.allow(601)
    assert "undecided" in story.broken()


def test_the_events_of_a_violation_show_only_its_number_and_time(story: Story):
    story.change("list", 0, numbers=(OTHER,))
    for at in range(10):
        story.change("list", at * 10)
    call = story.allow(200)
    story.change("lift", 300)
    (violation,) = story.violations()
    *changes, last = violation.events
    assert last == call
    assert all(isinstance(one, Change) and one.numbers == (NUMBER,) and one.invoked < call.invoked for one in changes)
    assert len(changes) <= 6
    assert isinstance(last, Call)
    assert last.answered == ns(202)
