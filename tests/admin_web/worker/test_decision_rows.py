"""Decisions as rows: which record of a decision wins, and values that SQL cannot store."""

from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.worker.decision_rows import UnreadableDecision, last_words, row_of
from compliance import verdict
from compliance.redis_records import decision_fields
from compliance.verdict import Decision, allow, block, listed_on

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALLOW = Decision(
    id="019ab3c4d5e6-9f3a1c22-0000001a", at=AT, ruling=allow(verdict.NOT_LISTED), dialed="4155550100",
    number="+14155550100", lead="lead-1", channel="pbx-1.1", generation=7, gate="gate-1",
)  # fmt: skip
BLOCK = ALLOW._replace(ruling=block(listed_on("internal")))
LATE = ALLOW._replace(ruling=block(verdict.DEADLINE), generation=0)


def fields(decision: Decision) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in decision_fields(decision).items()}


def row(decision: Decision) -> dict:
    return row_of(fields(decision), AT)


def test_every_field_of_a_decision_is_in_its_row():
    assert row(ALLOW) == {
        "id": ALLOW.id, "at": AT, "verdict": "ALLOW", "reason": "not-listed", "detail": "", "override": "",
        "dialed": "4155550100", "number": "+14155550100", "lead": "lead-1", "channel": "pbx-1.1", "generation": 7,
        "gate": "gate-1", "peer": "", "campaign": "", "archived_at": AT,
    }  # fmt: skip
    assert row(ALLOW._replace(campaign="spring")) == row(ALLOW) | {"campaign": "spring"}


@pytest.mark.parametrize("order", list(permutations([ALLOW, BLOCK, LATE])))
def test_the_last_word_on_a_decision_is_the_same_in_whatever_order_its_records_come(order):
    assert [one["reason"] for one in last_words(map(row, order))] == ["deadline"]


@pytest.mark.parametrize("order", list(permutations([ALLOW, BLOCK])))
def test_a_block_corrects_an_allow_and_never_the_other_way_round(order):
    assert [one["verdict"] for one in last_words(map(row, order))] == ["BLOCK"]


def test_decisions_come_in_the_order_of_their_ids_each_once():
    rows = [row(ALLOW._replace(id=each)) for each in "cabca"]
    assert [one["id"] for one in last_words(rows)] == ["a", "b", "c"]


def test_nul_characters_that_postgresql_refuses_are_replaced():
    assert row(ALLOW._replace(dialed="415\x000100"))["dialed"] == "415\ufffd0100"


@pytest.mark.parametrize(
    "spoilt",
    [
        {b"id": b""},
        {b"id": b"x" * 41},
        {b"at": b"soon"},
        {b"at": b"9" * 30},
        {b"at": b"-" + b"9" * 30},
        {b"verdict": b"MAYBE"},
        {b"reason": b"x" * 41},
        {b"channel": b"x" * 151},
        {b"number": b"+" + b"1" * 16},
        {b"dialed": b"\xff\xfe"},
        {b"generation": b"-1"},
        {b"generation": str(2**63).encode()},
        {b"generation": b"many"},
    ],
)
def test_what_sql_could_not_hold_is_unreadable(spoilt):
    with pytest.raises(UnreadableDecision):
        row_of(fields(ALLOW) | spoilt, AT)


def test_a_record_of_an_earlier_version_names_no_peer():
    earlier = {key: value for key, value in fields(ALLOW._replace(peer="10.8.0.1")).items() if key != b"peer"}
    assert (row_of(earlier, AT)["peer"], row(ALLOW._replace(peer="10.8.0.1"))["peer"]) == ("", "10.8.0.1")


@pytest.mark.parametrize("name", sorted(fields(ALLOW).keys() - {b"peer"}))
def test_a_record_without_one_of_its_fields_is_unreadable(name):
    with pytest.raises(UnreadableDecision):
        row_of({key: value for key, value in fields(ALLOW).items() if key != name}, AT)


@given(st.dictionaries(st.sampled_from(sorted(fields(ALLOW))), st.binary(max_size=200)))
def test_whatever_the_fields_hold_they_are_a_row_or_unreadable(spoilt):
    try:
        read = row_of(fields(ALLOW) | spoilt, AT)
    except UnreadableDecision:
        return
    assert read["verdict"] in {"ALLOW", "BLOCK"}
    assert not any("\0" in value for value in read.values() if isinstance(value, str))
