"""The product with a real Asterisk: every call goes through SIP, dialplan, gate and Redis, and the worker runs."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from lab.asterisk import Asterisk
from lab.line import Line, Placed
from lab.redis import RedisServer
from lab.sipp import Call
from tests.support.samples import PDF
from tests.support.stack import Stack

LISTED = [f"+1415555{line:04}" for line in range(100, 150)]
AT_MOST_S = 12.0
"""Maximum seconds until a blocked call ends: the time limit of two seconds, and a busy machine."""

SETTINGS = {"DNC_LEASE_S": "6", "DNC_DEADLINE_MS": "1000"}
"""A short lease, so that tests see it expire; a generous deadline, because all programs share this machine."""


def spellings(number: str) -> list[str]:
    """Return the formats in which people and dialers write `number`."""
    area, exchange, line = number[2:5], number[5:8], number[8:]
    return [
        number, number[1:], number[2:], f"+1 {area} {exchange} {line}", f"+1-{area}-{exchange}-{line}",
        f"1-{area}-{exchange}-{line}", f"{area}-{exchange}-{line}", f"({area}) {exchange}-{line}",
    ]  # fmt: skip


@pytest.fixture
def settings() -> dict[str, str]:
    """Settings of the product of a test."""
    return SETTINGS


@pytest.fixture
def stack(redis_server: RedisServer, short_path: Path, pbx: Asterisk, settings: dict[str, str]) -> Iterator[Stack]:
    database = short_path / "dnc.sqlite3"
    with Stack(short_path / "whole", redis_server, f"sqlite:///{database}", **settings) as stack:
        pbx.set_global("DNC_GATE", f"127.0.0.1:{stack.gate.port}")
        listed = short_path / "listed.txt"
        listed.write_text("\n".join(LISTED))
        stack.admin("import", "internal", str(listed))
        yield stack


def grant(stack: Stack, lead: str, number: str, document: Path, *more: str) -> None:
    document.write_bytes(PDF)
    stack.admin(
        "override", "grant", "--lead", lead, "--number", number, "--basis", "signed-consent",
        "--consented-on", "2026-01-02", "--document", str(document), "--attest", *more,
    )  # fmt: skip


def expect_on_trunk(heard: list[str], dialed: list[str], placed: list[Placed]) -> None:
    """Assert that the trunk received each unlisted number, once per call. The failure shows the differences."""
    free = Counter(number for number in dialed if number not in LISTED)
    missing, surplus = free - Counter(heard), Counter(heard) - free
    why = {
        number: (call.status, call.record.get("dnc_reason", "no record"), f"{call.outcome.seconds:.2f} s")
        for number, call in zip(dialed, placed, strict=True)
        if number in missing or number in surplus
    }
    assert not missing | surplus, f"missing {dict(missing)}, surplus {dict(surplus)}, their calls: {why}"


@pytest.mark.parametrize("settings", [{"DNC_DEADLINE_MS": "1000"}], ids=["patient"])
def test_of_a_thousand_calls_no_listed_number_reaches_the_trunk_and_each_has_one_record_and_one_cdr(stack, line):
    chosen = random.Random(7)
    numbers = [chosen.choice(LISTED) if i % 10 == 0 else f"+1628555{i:04}" for i in range(1000)]
    calls = [Call(chosen.choice(spellings(number)), f"lead-{i}") for i, number in enumerate(numbers)]
    placed = line.place(*calls, per_second=40)
    records = stack.until_archived({call.record["dnc_decision"] for call in placed if call.record})
    expect_on_trunk(line.trunk.numbers(), numbers, placed)
    assert len(placed) == len(records) == len({call.record["dnc_decision"] for call in placed}) == 1000
    for number, call in zip(numbers, placed, strict=True):
        expected = ("BLOCK", "internal-dnc") if number in LISTED else ("ALLOW", "not-listed")
        cdr = call.record
        assert (cdr["dnc_verdict"], cdr["dnc_reason"]) == expected == records[cdr["dnc_decision"]]
        assert cdr["dnc_number"] == number
        assert call.status == (403 if number in LISTED else 200)
    assert max(call.outcome.seconds for call in placed if call.status == 403) < AT_MOST_S


def test_an_override_opens_its_lead_and_no_other_until_it_is_revoked(stack, line, short_path):
    number = LISTED[0]
    grant(stack, "lead-1", number, short_path / "consent.pdf")
    calls = [Call(number, "lead-1"), Call(number, "lead-2"), Call(number), Call(number, "lead-1", caller="phone")]
    assert [call.record["dnc_reason"] for call in line.place(*calls)] == ["override", *["internal-dnc"] * 3]
    assert line.trunk.numbers() == [number]
    stack.admin("override", "revoke", "1", "--reason", "asked to stop")
    (blocked,) = line.place(Call(number, "lead-1"))
    assert (blocked.status, blocked.record["dnc_reason"]) == (403, "internal-dnc")
    assert line.trunk.numbers() == [number]


def test_an_override_that_ends_meanwhile_is_blocked_from_that_second_on(stack, line, short_path):
    number, ends = LISTED[1], time.time() + 5
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    grant(stack, "lead-1", number, short_path / "consent.pdf", "--expires-at", until)
    calls = line.place(*[Call(number, "lead-1")] * 40, per_second=5)
    reasons = [call.record["dnc_reason"] for call in calls]
    assert reasons == sorted(reasons, reverse=True)
    assert set(reasons) == {"override", "internal-dnc"}
    for call in calls:
        if call.record["dnc_reason"] == "override":
            assert float(call.record["start"]) <= int(ends)


class TestFailures:
    """Failures of the product behind a healthy PBX. Service returns by itself after each."""

    @pytest.fixture(autouse=True)
    def setting(self, stack: Stack, line: Line) -> None:
        self.stack, self.line, self.redis = stack, line, stack.redis

    def blocked(self, *reasons: str) -> None:
        """Assert that calls to listed and free numbers are all blocked soon, with one of `reasons` in the CDR."""
        before = self.line.trunk.numbers()
        placed = self.line.place(*[Call(LISTED[0]), Call("+16285550199", "lead-1")] * 3)
        assert self.line.trunk.numbers() == before
        assert {call.status for call in placed} == {403}
        assert max(call.outcome.seconds for call in placed) < AT_MOST_S
        assert {call.record["dnc_verdict"] for call in placed} == {"BLOCK"}
        assert {call.record["dnc_reason"] for call in placed} <= set(reasons)

    def counted(self, *reasons: str) -> None:
        """Assert that the gate's metrics count one of `reasons`."""
        metric = 'dnc_gate_calls_total{{reason="{}",verdict="BLOCK"}}'
        assert sum(self.stack.gate.metric(metric.format(reason)) for reason in reasons) > 0

    def back_by_itself(self, within_s: float = 60.0) -> None:
        """Assert that, without intervention, a free number is allowed again and a listed one is not."""
        self.stack.until_ready(within_s)
        free, listed = self.line.place(Call("+16285550198"), Call(LISTED[0]))
        assert (free.status, listed.status) == (200, 403)
        assert self.line.trunk.numbers()[-1] == "+16285550198"

    def test_gate_not_running(self):
        self.stack.gate.process.stop()
        self.blocked("gate-unreachable")
        self.stack.start_gate()
        self.back_by_itself()

    def test_gate_paused(self):
        self.stack.gate.process.pause()
        self.blocked("gate-silent")
        self.stack.gate.process.resume()
        self.back_by_itself()

    def test_gate_killed_while_it_holds_calls(self):
        self.stack.gate.process.pause()
        self.line.pbx.set_global("DNC_TIMEOUT", "9")
        killed = self.stack.gate.process
        Timer(1.0, killed.kill).start()  # On a busy machine this may be before the calls.
        self.blocked("gate-broke-off", "gate-unreachable")
        self.line.pbx.set_global("DNC_TIMEOUT", "")
        self.stack.start_gate()
        self.back_by_itself()

    def test_redis_stopped(self):
        self.redis.running.stop()
        self.blocked("store-unavailable")
        self.counted("store-unavailable")
        self.redis.start()
        self.back_by_itself()

    def test_redis_paused(self):
        self.redis.running.pause()
        self.blocked("store-unavailable", "deadline")
        self.counted("store-unavailable", "deadline")
        self.redis.running.resume()
        self.back_by_itself()

    def test_redis_restarted_empty(self):
        self.stack.worker.pause()
        self.redis.restart(empty=True)
        self.blocked("state-unverified", "store-unavailable")
        self.counted("state-unverified")
        self.stack.worker.resume()
        self.back_by_itself()

    def test_flushall(self):
        self.stack.worker.pause()
        self.stack.redis_client().flushall()
        self.blocked("state-unverified")
        self.counted("state-unverified")
        self.stack.worker.resume()
        self.back_by_itself()

    def test_lease_run_out(self):
        self.stack.worker.kill()
        deadline = time.monotonic() + 60
        while self.stack.gate.get("/readyz")[0] == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        self.blocked("state-unverified")
        self.counted("state-unverified")
        self.stack.start_worker()
        self.back_by_itself()

    def test_stream_append_refused(self):
        self.stack.redis_client().config_set("maxmemory", "1mb")
        self.blocked("record-unavailable", "internal-dnc")
        self.counted("record-unavailable")
        self.stack.redis_client().config_set("maxmemory", "0")
        self.back_by_itself()
