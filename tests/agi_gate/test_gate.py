"""One call: every path ends in a decision, and an ALLOW stands only on record and on facts that still hold."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agi_gate.gate import LONGEST_DIALED, Gate, Numbering, printable
from agi_gate.protocol import Request
from compliance.numbers import E164, LeadId
from compliance.policy import Facts, LiveOverride, State
from tests.fakes import FakeLog, FakeStore

NUMBER = E164("+14155550100")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
STATE = State(7, "run-1", ("internal",), 3)
MOVED = replace(STATE, changes=4)
FREE = Facts(NUMBER, LeadId("lead-1"), "run-1", STATE, leased=True)
LISTED = replace(FREE, listed=("internal",), state=MOVED)
OPEN = replace(LISTED, override=LiveOverride("42", "other", AT + timedelta(days=1)), state=STATE)
ASKED = Request("screen", ("415-555-0100", "lead-1"), "pbx-1.1")


def gate(store, log, *, deadline_s: float = 1.0, prefix: str = "") -> Gate:
    numbering = Numbering("US", prefix)
    return Gate(store, log, numbering, name="gate:1", deadline_s=deadline_s, clock=lambda: AT)


async def screened(*facts, behind=STATE, asked=ASKED, **settings):
    log = FakeLog(behind)
    decision = await gate(FakeStore(*facts), log, **settings).screen(asked)
    return decision, log


async def test_an_allow_is_on_record_before_it_is_given():
    decision, log = await screened(FREE)
    assert (decision.ruling.reason, log.recorded, log.noted) == ("not-listed", [decision], [])
    assert (decision.number, decision.generation, decision.channel, decision.gate) == (NUMBER, 7, "pbx-1.1", "gate:1")


async def test_without_a_record_an_allow_becomes_a_block_that_is_recorded_later():
    decision, log = await screened(FREE, behind=None)
    assert (decision.ruling.verdict, decision.ruling.reason) == ("BLOCK", "record-unavailable")
    assert log.noted == [decision]


async def test_without_a_record_a_block_keeps_its_reason():
    decision, log = await screened(LISTED, behind=None)
    assert (decision.ruling.reason, log.noted) == ("internal-dnc", [decision])


async def test_a_change_between_facts_and_record_is_looked_at_again_and_blocks_what_it_listed():
    decision, log = await screened(FREE, LISTED, behind=MOVED)
    assert (decision.ruling.verdict, decision.ruling.reason) == ("BLOCK", "internal-dnc")
    assert [each.id for each in log.recorded + log.noted] == [decision.id] * 2
    assert log.noted == [decision]


async def test_a_revocation_between_facts_and_record_blocks():
    decision, _ = await screened(OPEN, LISTED, behind=MOVED)
    assert decision.ruling.reason == "internal-dnc"


async def test_a_change_that_leaves_the_call_free_leaves_its_record_too():
    decision, log = await screened(FREE, replace(FREE, state=MOVED), behind=MOVED)
    assert (decision.ruling.reason, log.recorded, log.noted) == ("not-listed", [decision], [])


async def test_a_redis_that_goes_away_between_record_and_second_look_blocks():
    decision, _ = await screened(FREE, None, behind=MOVED)
    assert decision.ruling.reason == "store-unavailable"


async def test_a_change_does_not_have_a_block_looked_at_again():
    decision, _ = await screened(LISTED, behind=replace(MOVED, changes=9))
    assert decision.ruling.reason == "internal-dnc"


async def test_what_takes_longer_than_the_deadline_is_a_block_on_record():
    class Slow(FakeStore):
        async def facts(self, number, lead):
            await asyncio.Event().wait()

    log = FakeLog(STATE)
    decision = await gate(Slow(), log, deadline_s=0.01).screen(ASKED)
    assert (decision.ruling.verdict, decision.ruling.reason, decision.number) == ("BLOCK", "deadline", NUMBER)
    assert log.noted == [decision]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (Request("other", ASKED.arguments, "pbx-1.1"), "bad-request"),
        (Request("screen", ("4155550100",), "pbx-1.1"), "bad-request"),
        (Request("screen", ("4155550100", "lead-1", ""), "pbx-1.1"), "bad-request"),
        (Request("screen", (), "pbx-1.1"), "bad-request"),
        (Request("screen", ASKED.arguments, ""), "bad-channel"),
        (Request("screen", ("911", ""), ""), "bad-channel"),
    ],
)
async def test_a_request_that_is_none_asks_nobody_and_is_recorded(asked, reason):
    decision, log = await screened(asked=asked)
    assert (decision.ruling.verdict, decision.ruling.reason, log.noted) == ("BLOCK", reason, [decision])


async def test_an_invalid_number_asks_nobody_and_is_recorded():
    decision, log = await screened(asked=Request("screen", ("nonsense", ""), "pbx-1.1"))
    assert (decision.ruling.reason, decision.ruling.detail, decision.number) == ("invalid-number", "letters", "")
    assert log.recorded == [decision]


@pytest.mark.parametrize("dialed", ["911", "9911"])
async def test_an_emergency_call_asks_nobody_and_waits_for_no_record(dialed):
    decision, log = await screened(asked=Request("screen", (dialed, ""), "pbx-1.1"), behind=None, prefix="9")
    assert (decision.ruling.verdict, decision.ruling.reason, decision.number) == ("ALLOW", "emergency", "911")
    assert log.noted == [decision]


async def test_an_ill_formed_lead_is_no_lead():
    decision, _ = await screened(replace(OPEN, lead=None), asked=Request("screen", ("4155550100", "a b"), "pbx-1.1"))
    assert (decision.ruling.reason, decision.lead) == ("internal-dnc", "")


def test_what_was_dialled_is_recorded_bounded_and_printable():
    assert printable("+1\n415\x00é") == "+1?415??"
    assert len(printable("1" * 1000)) == LONGEST_DIALED
