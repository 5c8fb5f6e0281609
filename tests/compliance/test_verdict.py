"""Verdicts and reasons: stable slugs, safe in an AGI line, each with a sentence."""

import re
from pathlib import Path

import pytest

from compliance import rule, verdict
from compliance.verdict import DIALPLAN_REASONS, GATE_REASONS, Verdict, allow, block, list_of, listed_on


def test_every_reason_of_the_gate_has_a_sentence_for_people():
    named = [value for name, value in vars(verdict).items() if re.fullmatch("[A-Z][A-Z_]+", name)]
    reasons = {value for value in named if isinstance(value, str)}
    assert reasons == GATE_REASONS.keys()


def test_every_reason_that_the_code_rules_with_has_a_sentence():
    """This includes a reason written as a literal: `Reason("...")`."""
    root = Path(verdict.__file__).parent.parent
    code = "".join(file.read_text() for room in ("compliance", "agi_gate") for file in (root / room).rglob("*.py"))
    assert set(re.findall(r"\bReason\(\"([a-z-]+)\"\)", code)) <= {*rule.sentences(), *DIALPLAN_REASONS}


def test_a_reason_has_one_sentence_from_one_place():
    given = [*GATE_REASONS, *DIALPLAN_REASONS, *(reason for check in rule.CHECKS for reason in check.reasons)]
    assert len(given) == len(set(given))


@pytest.mark.parametrize(
    ("reason", "sentence", "opens"),
    [
        ("internal-dnc", "The number is on the company's own Do-Not-Call list.", True),
        ("us-ftc-dnc", "The number is on the list us-ftc.", True),
        ("registry-stale", "The copy of a registry that should cover the number is too old.", True),
        ("state-unverified", "Redis answered, but it is not known to hold the whole, current list.", False),
        ("not-listed", "The number is on no list that applies.", False),
        ("hung-up", "The caller hung up before there was a verdict.", False),
        ("of-the-future", "of-the-future", False),
        ("-dnc", "-dnc", False),
    ],
)
def test_a_reason_in_words_and_whether_an_override_opens_it(reason, sentence, opens):
    assert (rule.sentence_of(reason), rule.opens_by_override(reason)) == (sentence, opens)


@pytest.mark.parametrize(
    ("reason", "stops"),
    [("state-unverified", True), ("store-unavailable", True), ("internal-dnc", False), ("registry-stale", False),
     ("invalid-number", False)],
)  # fmt: skip
def test_only_doubts_about_redis_stop_every_call(reason, stops):
    assert rule.stops_every_call(reason) is stops


@pytest.mark.parametrize("name", ["internal", "us-ftc"])
def test_a_listed_number_names_its_list(name):
    assert listed_on(name) == f"{name}-dnc"
    assert list_of(listed_on(name)) == name


def test_a_ruling_is_allow_only_by_that_name():
    assert allow(verdict.NOT_LISTED).verdict is Verdict.ALLOW
    assert block(verdict.DEADLINE).verdict is Verdict.BLOCK


def test_an_allow_is_nothing_to_open():
    assert rule.openable(block(listed_on("internal")))
    assert not rule.openable(allow(listed_on("internal")))
    assert not rule.openable(block(verdict.DEADLINE))
