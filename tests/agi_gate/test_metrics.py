"""Metrics of one process, and sums over several processes."""

from datetime import UTC, datetime

from agi_gate.decision_log import DecisionLog
from agi_gate.metrics import Metrics, counters_only, exposition
from agi_gate.store.link import Link
from compliance import verdict
from compliance.verdict import Decision, Ruling, allow, block


def decision(ruling: Ruling) -> Decision:
    return Decision("id", datetime.now(UTC), ruling, "", "", "", "", 0, "")


PASSED = allow(verdict.NOT_LISTED)


def counted(*seconds: float, reason: Ruling = PASSED) -> dict:
    metrics, link = Metrics(), Link("redis://127.0.0.1:1", timeout_s=1)
    for each in seconds:
        metrics.count(decision(reason), each)
    return metrics.snapshot(link, DecisionLog(link))


def value(text: bytes, name: str) -> float:
    return next(float(line.split()[-1]) for line in text.decode().splitlines() if line.startswith(name + " "))


def test_calls_are_counted_by_verdict_and_reason_over_all_processes():
    text = exposition([counted(0.001, 0.001), counted(0.001), counted(0.1, reason=block(verdict.DEADLINE))])
    assert value(text, 'dnc_gate_calls_total{reason="not-listed",verdict="ALLOW"}') == 3
    assert value(text, 'dnc_gate_calls_total{reason="deadline",verdict="BLOCK"}') == 1
    assert value(text, "dnc_gate_processes") == 3


def test_the_histogram_counts_each_call_once_and_up_to_its_bound():
    text = exposition([counted(0.0004, 0.0005, 0.0009), counted(0.003, 9.0)])
    assert value(text, 'dnc_gate_seconds_bucket{le="0.0005"}') == 2
    assert value(text, 'dnc_gate_seconds_bucket{le="0.001"}') == 3
    assert value(text, 'dnc_gate_seconds_bucket{le="0.003"}') == 4
    assert value(text, 'dnc_gate_seconds_bucket{le="1.0"}') == 4
    assert value(text, 'dnc_gate_seconds_bucket{le="+Inf"}') == 5
    assert value(text, "dnc_gate_seconds_count") == 5


def test_a_process_that_is_gone_keeps_its_counts_and_loses_its_gauges():
    text = exposition([counted(0.001), counters_only(counted(0.001))])
    assert value(text, 'dnc_gate_calls_total{reason="not-listed",verdict="ALLOW"}') == 2
    assert value(text, "dnc_gate_processes") == 1


def test_processes_that_are_gone_are_counted_as_one():
    some = [counted(0.001), counted(0.001, 9.0), counted(0.1, reason=block(verdict.DEADLINE))]
    some[0]["refused_peers"], some[1]["refused_peers"] = {"too-many": 1}, {"too-many": 2, "slow-header": 1}
    for at, one in enumerate(some):
        one["connects"] = one["dropped"] = at + 1
    folded = counters_only(counters_only(some[0], some[1]), some[2])
    assert exposition([folded]) == exposition([counters_only(one) for one in some])
    assert (folded["refused_peers"], folded["connects"], folded["dropped"]) == ({"too-many": 3, "slow-header": 1}, 6, 6)


def test_a_gate_that_never_reached_redis_is_not_ready():
    assert value(exposition([counted()]), "dnc_gate_ready") == 0
    assert counted()["doubt"] == "not connected yet"


def test_without_any_process_there_is_still_an_answer():
    assert value(exposition([]), "dnc_gate_ready") == 0
