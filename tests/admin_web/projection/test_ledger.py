"""Outbox rows count as applied when every shard of a cluster has applied its part."""

from dataclasses import replace

import pytest

from admin_web.projection.ledger import Ledger
from admin_web.projection.outbox import OutboxChange
from compliance.cluster import SLOTS, Shard, Topology
from compliance.numbers import E164
from compliance.redis_schema import slot_of_number

HALF = SLOTS // 2
LOW, HIGH = Shard("a", "a:1", 1, ((0, HALF - 1),)), Shard("b", "b:1", 2, ((HALF, SLOTS - 1),))
NUMBERS = [f"+1415{exchange}0100" for exchange in range(200, 240)]
ON_LOW, ON_HIGH = (
    next(number for number in NUMBERS if shard.owns(slot_of_number(E164(number)))) for shard in (LOW, HIGH)
)


def ledger(*shards: Shard) -> Ledger:
    return Ledger(lambda: Topology(shards))


def row(row_id: int, *numbers: str) -> OutboxChange:
    return OutboxChange(row_id, "internal", None, list(numbers))


def test_a_row_is_applied_when_each_shard_that_it_is_about_has_it():
    rows, kept = [row(1, ON_LOW), row(2, ON_LOW, ON_HIGH), row(3, ON_HIGH)], ledger(LOW, HIGH)
    assert kept.finished(rows) == []
    kept.record(LOW, [1, 2, 3])
    assert kept.finished(rows) == [1]
    kept.record(HIGH, [2, 3])
    assert kept.finished(rows) == [1, 2, 3]


def test_the_terms_of_registries_concern_every_shard():
    kept = ledger(LOW, HIGH)
    kept.record(LOW, [1])
    assert kept.finished([row(1)]) == []
    kept.record(HIGH, [1])
    assert kept.finished([row(1)]) == [1]


def test_what_concerns_a_slot_that_nobody_serves_is_not_applied():
    kept = ledger(LOW)
    kept.record(LOW, [1])
    assert kept.finished([row(1, ON_HIGH)]) == []
    assert ledger().finished([row(2)]) == []


@pytest.mark.parametrize(
    ("shards", "numbers", "rows", "have"),
    [
        ((LOW, HIGH), [ON_LOW], {1, 2}, True),
        ((LOW, HIGH), [ON_LOW], {1, 3}, False),
        ((LOW, HIGH), [ON_HIGH], {3}, True),
        ((LOW, HIGH), [ON_LOW, ON_HIGH], {2}, False),
        ((LOW,), [ON_HIGH], {3}, False),
        ((LOW,), [ON_LOW, ON_HIGH], set[int](), False),
        ((replace(LOW, epoch=9), HIGH), [ON_LOW], {1}, False),
    ],
)
def test_the_owners_of_some_slots_have_rows_that_they_applied_under_their_present_reign(shards, numbers, rows, have):
    kept = ledger(*shards)
    kept.record(LOW, [1, 2])
    kept.record(HIGH, [3])
    assert kept.owners_have([slot_of_number(E164(number)) for number in numbers], rows) == have


def test_what_a_shard_had_under_another_reign_does_not_count():
    kept = ledger(Shard("a", "a:1", 9, LOW.ranges), HIGH)
    kept.record(LOW, [1])
    assert kept.finished([row(1, ON_LOW)]) == []


def test_what_is_not_pending_any_more_is_forgotten():
    kept = ledger(LOW, HIGH)
    kept.record(LOW, [1, 2])
    assert kept.applied_by(LOW, {2, 3}) == {2}
    assert kept.applied_by(LOW, {1, 2}) == {2}
    assert kept.has_rows(LOW)
    assert not kept.has_rows(HIGH)
