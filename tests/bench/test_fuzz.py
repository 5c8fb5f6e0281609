"""The fuzz of the gate in its short form, and that it sees a gate which allows what it must not."""

import gc
import re
from random import Random

import pytest
import structlog

from agi_gate import decision_log, gate
from agi_gate.decision_log import DecisionLog
from agi_gate.fastagi import protocol, session
from agi_gate.store import facts
from bench.fuzz.__main__ import tried
from bench.fuzz.answers import Violation
from bench.fuzz.gate import FuzzedGate
from bench.fuzz.wire import FuzzedWire
from compliance.redis_facts import _override
from compliance.verdict import FREE

SEED = 5


@pytest.fixture(autouse=True)
def quiet():
    """Drop the log: odd answers of Redis are logged as errors, thousands of them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


@pytest.mark.parametrize("replicas", [0, 1])
async def test_no_dialogue_and_no_answer_of_redis_is_allowed_beyond_the_rule(replicas, long):
    one = FuzzedGate(Random(SEED + replicas), replicas)
    tried(one, 100_000 if long else 2_500)
    verdicts = {words.split()[0] for words in one.counts}
    assert verdicts == {"ALLOW", "BLOCK", "refused"}
    assert {"ALLOW not-listed", "ALLOW override", "ALLOW emergency", "BLOCK internal-dnc"} <= one.counts.keys()


async def test_the_parser_reads_what_was_sent_or_refuses_it(long):
    one = FuzzedWire(Random(SEED))
    tried(one, 200_000 if long else 6_000)
    assert min(one.counts["understood"], one.counts["refused"]) > 1_000


async def test_thousands_of_dialogues_leave_nothing_behind():
    one, other = FuzzedGate(Random(SEED), 0), FuzzedWire(Random(SEED))
    tried(one, 1_000)
    tried(other, 1_000)
    gc.collect()
    before = len(gc.get_objects())
    tried(one, 2_000)
    tried(other, 2_000)
    gc.collect()
    assert len(gc.get_objects()) - before < 2_000


def blind_to_lists(applying, replies, is_listed):
    return (), _override(replies[-1]) if len(replies) > len(applying.lists) else None


def forgetful(self, decision, facts):
    yield from ()
    return True


def satisfied(self, decision, facts):
    yield from ()
    return decision


FAULTS = {
    "the rule allows every number": (gate, "decide", lambda number, facts, at: FREE),
    "facts are read without the lists": (facts, "read_facts", blind_to_lists),
    "odd replies mean unlisted": (facts, "_is_member", lambda reply: reply == 1),
    "every text is a record": (decision_log, "is_entry_id", lambda reply: isinstance(reply, bytes)),
    "another call's record counts": (decision_log, "has_appended", lambda reply, decision: isinstance(reply, bytes)),
    "replicas are not waited for": (decision_log, "_replicated", lambda answers: None),
    "nothing is recorded": (DecisionLog, "record_foreseen", forgetful),
    "blocked calls are not noted": (DecisionLog, "note", lambda self, decision: None),
    "the gate does not look again": (gate.Gate, "_reconsider", satisfied),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_fuzz_sees_a_gate_that(fault, monkeypatch):
    where, name, broken = FAULTS[fault]
    monkeypatch.setattr(where, name, broken)
    with pytest.raises(Violation):
        tried(FuzzedGate(Random(SEED), 1), 60_000)


PARSER_FAULTS = {
    "takes the last of two arguments": (
        protocol, "_HEADER", re.compile(
            rb"(?:\n.*)*?(?:\nagi_network_script: ?(.*))(?:\n.*)*?(?:\nagi_uniqueid: ?(.*))(?:\n.*)*?"
            rb"((?:\nagi_arg_[0-9]+:.*)*)"
        ),
    ),
    "trusts every channel": (protocol, "trusted_channel", lambda channel: channel),
    "says the verdict of another channel": (
        session, "answer_line", lambda decision: session._ANSWER.to(
            *("+14155550100", "not-listed", "0-0", "ALLOW", "not-listed", "0-0", "+14155550100", "ALLOW-1.1")
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", PARSER_FAULTS)
async def test_the_fuzz_sees_a_parser_that(fault, monkeypatch):
    monkeypatch.setattr(*PARSER_FAULTS[fault])
    with pytest.raises((Violation, ValueError)):
        tried(FuzzedWire(Random(SEED)), 60_000)
