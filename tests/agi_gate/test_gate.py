"""One call: every path ends in a decision, and an ALLOW needs a record and facts that still hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agi_gate.decision_log import RecordUnavailable
from agi_gate.gate import LONGEST_DIALED, DeadlinePassed, Gate, Numbering, printable
from agi_gate.request import Request
from agi_gate.store.wire import StoreUnavailable
from compliance import rule, verdict
from compliance.check import CallPart, Check, Need, OpenedBy
from compliance.facts import Facts, LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.terms import REGISTRY_STALE, Applying
from compliance.verdict import Reason, allow, block
from tests.support.fakes import FakeLog, FakeStore

NUMBER = E164("+14155550100")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
STATE = State(7, "run-1", ("internal",), 3)
APPLYING = Applying(("internal",), (), allow(verdict.NOT_LISTED))
MOVED = STATE._replace(changes=4)
FREE = Facts(NUMBER, LeadId("lead-1"), "run-1", STATE, leased=True, applying=APPLYING)
LISTED = FREE._replace(listed=("internal",), state=MOVED)
OPEN = LISTED._replace(override=LiveOverride("42", "other", AT + timedelta(days=1)), state=STATE)
ASKED = Request("screen", ("415-555-0100", "lead-1"), "pbx-1.1")


def gate(store, log, prefix: str = "") -> Gate:
    return Gate(store, log, Numbering("US", prefix), name="gate:1", clock=lambda: AT)


def answered(steps):
    """Run the steps to their end, and return their result. The answers are empty: the fakes have the data."""
    try:
        next(steps)
        while True:
            steps.send(None)
    except StopIteration as end:
        return end.value


def screened(*facts, behind=STATE, asked=ASKED, prefix=""):
    log = FakeLog(behind)
    return answered(gate(FakeStore(*facts), log, prefix).screen(asked)), log


def test_an_allow_is_on_record_before_it_is_given():
    decision, log = screened(FREE)
    assert (decision.ruling.reason, log.recorded, log.noted) == ("not-listed", [decision], [])
    assert (decision.number, decision.generation, decision.channel, decision.gate) == (NUMBER, 7, "pbx-1.1", "gate:1")


def test_without_a_record_an_allow_becomes_a_block_that_is_recorded_later():
    decision, log = screened(FREE, behind=None)
    assert (decision.ruling.verdict, decision.ruling.reason) == ("BLOCK", "record-unavailable")
    assert log.noted == [decision]


def test_without_a_record_a_block_keeps_its_reason():
    decision, log = screened(LISTED, behind=None)
    assert (decision.ruling.reason, log.noted) == ("internal-dnc", [decision])


def test_a_change_between_facts_and_record_is_looked_at_again_and_blocks_what_it_listed():
    decision, log = screened(FREE, LISTED, behind=MOVED)
    assert (decision.ruling.verdict, decision.ruling.reason) == ("BLOCK", "internal-dnc")
    assert [each.id for each in log.recorded + log.noted] == [decision.id] * 2
    assert log.noted == [decision]


def test_a_revocation_between_facts_and_record_blocks():
    decision, _ = screened(OPEN, LISTED, behind=MOVED)
    assert decision.ruling.reason == "internal-dnc"


def test_a_change_that_leaves_the_call_free_leaves_its_record_too():
    decision, log = screened(FREE, FREE._replace(state=MOVED), behind=MOVED)
    assert (decision.ruling.reason, log.recorded, log.noted) == ("not-listed", [decision], [])


def test_a_redis_that_goes_away_between_record_and_second_look_blocks():
    decision, _ = screened(FREE, None, behind=MOVED)
    assert decision.ruling.reason == "store-unavailable"


def test_a_change_does_not_have_a_block_looked_at_again():
    decision, _ = screened(LISTED, behind=MOVED._replace(changes=9))
    assert decision.ruling.reason == "internal-dnc"


@pytest.mark.parametrize(
    ("arguments", "campaign"),
    [(("sales",), "sales"), ((), ""), (("",), ""), (("a b",), ""), (("x" * 65,), ""), (("sales,other",), "")],
)
def test_the_campaign_is_asked_about_if_it_is_one_also_when_the_projection_moved(arguments, campaign):
    store = FakeStore(FREE, FREE._replace(state=MOVED))
    asked = ASKED._replace(arguments=(*ASKED.arguments, *arguments))
    decision = answered(gate(store, FakeLog(MOVED)).screen(asked))
    assert (decision.ruling.reason, store.campaigns) == ("not-listed", [campaign] * 2)
    assert decision.campaign == campaign


@pytest.mark.parametrize("steps_taken", [1, 2])
def test_what_takes_longer_than_the_deadline_is_a_block_on_record(steps_taken):
    log = FakeLog(STATE)
    steps = gate(FakeStore(FREE), log).screen(ASKED)
    next(steps)
    for _ in range(steps_taken - 1):
        steps.send(None)
    with pytest.raises(StopIteration) as end:
        steps.throw(DeadlinePassed())
    decision = end.value.value
    assert (decision.ruling.verdict, decision.ruling.reason, decision.number) == ("BLOCK", "deadline", NUMBER)
    assert log.noted == [decision]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (Request("other", ASKED.arguments, "pbx-1.1"), "bad-request"),
        (Request("screen", ("4155550100",), "pbx-1.1"), "bad-request"),
        (Request("screen", ("4155550100", "lead-1", "", ""), "pbx-1.1"), "bad-request"),
        (Request("screen", (), "pbx-1.1"), "bad-request"),
        (Request("screen", ASKED.arguments, ""), "bad-channel"),
        (Request("screen", ("911", ""), ""), "bad-channel"),
    ],
)
def test_a_request_that_is_none_asks_nobody_and_is_recorded(asked, reason):
    decision, log = screened(asked=asked)
    assert (decision.ruling.verdict, decision.ruling.reason, log.noted) == ("BLOCK", reason, [decision])


def test_an_invalid_number_asks_nobody_and_is_recorded():
    decision, log = screened(asked=Request("screen", ("nonsense", ""), "pbx-1.1"))
    assert (decision.ruling.reason, decision.ruling.detail, decision.number) == ("invalid-number", "letters", "")
    assert log.recorded == [decision]


@pytest.mark.parametrize("dialed", ["911", "9911"])
def test_an_emergency_call_asks_nobody_and_waits_for_no_record(dialed):
    decision, log = screened(asked=Request("screen", (dialed, ""), "pbx-1.1"), behind=None, prefix="9")
    assert (decision.ruling.verdict, decision.ruling.reason, decision.number) == ("ALLOW", "emergency", "911")
    assert log.noted == [decision]


def test_an_ill_formed_lead_is_no_lead():
    decision, _ = screened(OPEN._replace(lead=None), asked=Request("screen", ("4155550100", "a b"), "pbx-1.1"))
    assert (decision.ruling.reason, decision.lead) == ("internal-dnc", "")


def test_what_was_dialled_is_recorded_bounded_and_printable():
    assert printable("+1\n415\x00é") == "+1?415??"
    assert len(printable("1" * 1000)) == LONGEST_DIALED


def foreseen(facts: Facts | None, right: bool | Exception, *asked: Facts | None):
    """Screen a call with foreseen `facts`, correct if `right`. Queries then return the facts in `asked`."""
    store, log = FakeStore(*asked), FakeLog(STATE)
    store.expected, log.foreseen_right = facts, right
    return answered(gate(store, log).screen(ASKED)), log, store


def test_what_was_foreseen_rightly_is_recorded_and_asked_for_no_more():
    decision, log, _ = foreseen(FREE, True)
    assert (decision.ruling.reason, decision.generation, log.recorded, log.noted) == ("not-listed", 7, [decision], [])


def test_what_was_foreseen_wrongly_is_judged_on_facts_that_were_asked_for():
    decision, log, _ = foreseen(FREE, False, LISTED._replace(state=STATE))
    assert (decision.ruling.reason, log.recorded, log.noted) == ("internal-dnc", [decision], [])


@pytest.mark.parametrize(
    ("error", "reason"),
    [(StoreUnavailable("gone"), "store-unavailable"), (RecordUnavailable("replicas"), "record-unavailable")],
)
def test_what_may_or_may_not_be_on_record_blocks_and_the_record_is_set_right(error: Exception, reason: str):
    decision, log, _ = foreseen(FREE, error)
    assert (decision.ruling.verdict, decision.ruling.reason, log.noted) == ("BLOCK", reason, [decision])


@pytest.mark.parametrize(
    "facts",
    [
        FREE._replace(leased=False),
        FREE._replace(server="run-2"),
        FREE._replace(state=None),
        FREE._replace(applying=replace(APPLYING, after=block(REGISTRY_STALE))),
    ],
)
def test_a_block_is_not_foreseen_but_asked_for(facts: Facts):
    decision, log, store = foreseen(facts, True, LISTED)
    assert (decision.ruling.reason, store.left, log.recorded) == ("internal-dnc", [], [decision])


def test_a_call_that_is_late_while_its_record_is_under_way_is_blocked_and_the_record_set_right():
    store, log = FakeStore(), FakeLog(STATE)
    store.expected = FREE
    steps = gate(store, log).screen(ASKED)
    next(steps)
    with pytest.raises(StopIteration) as end:
        steps.throw(DeadlinePassed())
    assert (end.value.value.ruling.reason, log.noted) == ("deadline", [end.value.value])


def more(**declared) -> Check:
    """A check beside those of the rule, which blocks nothing unless `judge` says so."""
    known = {"judge": lambda _facts, _at: None, "needs": frozenset(), "depends_on": frozenset()} | declared
    return Check(reasons={Reason("toy"): "A toy."}, opened_by=OpenedBy.NOTHING, **known)


@pytest.mark.parametrize(
    ("check", "in_one_step"),
    [
        (more(), True),
        (more(needs=frozenset({Need.PROJECTION, Need.LISTS, Need.TERMS})), True),
        (more(depends_on=frozenset(CallPart)), True),
        (more(needs=frozenset({Need.LISTS, Need.OVERRIDE})), False),
    ],
)
def test_a_decision_is_foreseen_only_if_redis_compares_all_that_the_rule_needs(monkeypatch, check, in_one_step):
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, check))
    decision, log, store = foreseen(FREE, True, FREE)
    assert (decision.ruling.reason, log.recorded) == ("not-listed", [decision])
    assert store.left == ([FREE] if in_one_step else [])


def test_one_more_check_blocks_what_was_foreseen_as_free(monkeypatch):
    toy = more(judge=lambda facts, at: block(Reason("toy")) if facts.number == NUMBER and at == AT else None)
    monkeypatch.setattr(rule, "CHECKS", (*rule.CHECKS, toy))
    decision, log, store = foreseen(FREE, True, FREE)
    assert (decision.ruling.reason, log.recorded, store.left) == ("toy", [decision], [])
