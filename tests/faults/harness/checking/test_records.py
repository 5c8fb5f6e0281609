"""Each answer has its record in SQL, with what was answered; what may be missing is counted."""

from dataclasses import replace

import pytest

from tests.faults.harness.checking.collected import collect
from tests.faults.harness.checking.records import missing_records
from tests.faults.harness.checking.stories import FREE, LEAD, NUMBER, Story, added, dropped, edited, ns, record_of
from tests.faults.harness.history import Lost, Recorded


@pytest.fixture
def story() -> Story:
    return Story()


def test_an_allow_without_its_record_is_reported(story: Story):
    call = story.allow(0)
    (violation,) = story.violations(dropped(Recorded))
    assert violation.rule == "allow-without-record"
    assert violation.events == (call,)


def test_an_allow_without_a_decision_is_reported(story: Story):
    story.allow(0, decision="")
    assert story.broken() == ["allow-without-record"]


def test_a_block_without_its_record_is_reported(story: Story):
    story.change("list", 0)
    story.block(10)
    assert story.broken(dropped(Recorded)) == ["block-without-record"]


def test_lost_records_of_blocks_may_be_as_many_as_the_product_counts(story: Story):
    for at in range(3):
        story.call(at, "BLOCK store-unavailable")
    lost = dropped(Recorded)
    assert story.broken(lambda events: added(Lost("gate-1", 2), Lost("gate-2", 1))(lost(events))) == []
    assert story.broken(lambda events: added(Lost("gate-1", 2))(lost(events))) == ["block-without-record"]


def test_the_count_of_lost_records_excuses_no_allow(story: Story):
    story.allow(0)
    lost = dropped(Recorded)
    assert story.broken(lambda events: added(Lost("gate-1", 9))(lost(events))) == ["allow-without-record"]


def test_the_record_of_an_emergency_call_may_be_counted_as_lost(story: Story):
    story.call(0, "ALLOW emergency", "911")
    lost = dropped(Recorded)
    assert story.broken(lambda events: added(Lost("gate-1", 1))(lost(events))) == []
    assert story.broken(lost) == ["block-without-record"]


def test_a_call_without_an_answer_may_have_a_record_or_none(story: Story):
    call = story.call(0, "")
    assert story.broken() == []
    assert story.broken(added(replace(record_of(call), decision="d", verdict="ALLOW", reason="not-listed"))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "BLOCK", "reason": "deadline"},
        {"verdict": "BLOCK"},
        {"reason": "override"},
        {"number": FREE},
        {"lead": "L-2"},
        {"unique_id": "another"},
    ],
)
def test_a_record_of_an_allow_that_differs_from_its_answer_is_reported(story: Story, wrong: dict[str, str]):
    story.allow(0, lead=LEAD)
    assert "record-differs" in story.broken(edited(Recorded, **wrong))


@pytest.mark.parametrize("wrong", [{"verdict": "ALLOW", "reason": "not-listed"}, {"reason": "deadline"}])
def test_a_record_of_a_block_that_differs_from_its_answer_is_reported(story: Story, wrong: dict[str, str]):
    story.call(0, "BLOCK store-unavailable")
    assert story.broken(edited(Recorded, **wrong)) == ["record-differs"]


@pytest.mark.parametrize("reason", ["internal-error", "bad-request", "bad-channel", "invalid-number"])
def test_a_call_on_which_a_gate_failed_is_reported_once(story: Story, reason: str):
    story.call(0, f"BLOCK {reason}", FREE, LEAD)
    assert story.broken(edited(Recorded, number="", lead="")) == ["gate-failed"]


def test_a_call_that_is_recorded_twice_is_reported(story: Story):
    call = story.allow(0)
    assert story.broken(added(replace(record_of(call), decision="another"))) == ["record-doubled"]


def test_a_decision_that_is_recorded_twice_is_reported(story: Story):
    call = story.allow(0)
    assert set(story.broken(added(record_of(call)))) == {"record-doubled"}


def test_a_record_of_no_call_is_reported(story: Story):
    call = story.allow(0)
    assert story.broken(added(replace(record_of(call), decision="x", unique_id="x"))) == ["record-of-nobody"]


def test_a_record_that_stood_only_in_a_destroyed_redis_is_excused_and_counted(story: Story):
    story.allow(1000)
    story.call(1001, "BLOCK store-unavailable")
    story.fault(1500, kind="redis-flushall", loses_from=ns(900))
    assert story.broken(dropped(Recorded)) == []
    missing = missing_records(collect(dropped(Recorded)(story.events())))
    assert (len(missing.excused), len(missing.allows), len(missing.blocks)) == (2, 0, 0)


@pytest.mark.parametrize(
    ("at", "took", "excused"), [(890, 9, False), (890, 10, True), (2500, 9, True), (2501, 1, False)]
)
def test_only_the_window_of_a_destroyed_redis_is_excused(story: Story, at: int, took: int, *, excused: bool):
    story.allow(at, took=took)
    story.fault(1500, 1000, kind="redis-flushall", loses_from=ns(900))
    assert story.broken(dropped(Recorded)) == ([] if excused else ["allow-without-record"])


def test_a_fault_that_destroys_no_redis_excuses_nothing(story: Story):
    story.allow(1000)
    story.fault(900)
    assert story.broken(dropped(Recorded)) == ["allow-without-record"]


def test_the_correction_of_a_record_may_be_lost_with_a_redis_but_never_the_other_way_round(story: Story):
    story.call(1000, "BLOCK deadline", NUMBER)
    story.fault(1500, kind="redis-flushall", loses_from=ns(900))
    assert story.broken(edited(Recorded, verdict="ALLOW", reason="not-listed")) == []
    story = Story()
    story.allow(1000)
    story.fault(1500, kind="redis-flushall", loses_from=ns(900))
    assert story.broken(edited(Recorded, verdict="BLOCK", reason="deadline")) == ["record-differs"]
