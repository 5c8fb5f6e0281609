"""A gate whose clock is behind that of Redis opens nothing by an override, and answers other calls as before."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from agi_gate.store.clock import ClockCheck, seconds_of
from agi_gate.store.health import Health
from agi_gate.store.questions import Answers
from compliance.facts import Facts, LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.rule import decide
from compliance.terms import Terms
from compliance.verdict import Verdict
from lab.process import NotInstalled, Process
from lab.redis import RedisServer
from tests.conftest import unavailable
from tests.support.asterisk import GateProcess
from tests.support.handmade import HandmadeProjection

LISTED, FREE, LEAD = E164("+14155550100"), E164("+14155550199"), LeadId("lead-1")
NOW = 1_790_000_000.0


def told(behind_s: float) -> Answers:
    there = NOW + behind_s
    reply = [str(int(there)).encode(), str(round(there % 1 * 1e6)).encode()]
    return Answers("run-1", None, None, True, [reply])


@pytest.mark.parametrize(
    ("behind_s", "doubt"), [(0, ""), (1.9, ""), (2.0, ""), (2.1, "clock-behind"), (3600, "clock-behind"), (-3600, "")]
)
def test_only_a_clock_that_is_more_than_two_seconds_behind_is_in_doubt(behind_s: float, doubt: str):
    health = Health()
    ClockCheck(lambda: health, lambda: NOW).answered(told(behind_s))
    assert health.clock_doubt == doubt


@pytest.mark.parametrize("reply", [ResponseError("NOPERM"), None, 7, [], [b"1"], [b"x", b"y"], [b"1", None]])
def test_a_redis_that_does_not_say_its_time_leaves_the_clock_unknown(reply):
    assert seconds_of(reply) is None
    health = Health(clock_behind_s=0.0)
    ClockCheck(lambda: health).answered(Answers("run-1", None, None, True, [reply]))
    assert health.clock_doubt == "clock-unknown"
    assert Health().clock_doubt == "clock-unknown"


def test_a_change_of_the_clock_is_logged_once():
    health = Health()
    check = ClockCheck(lambda: health, lambda: NOW)
    with capture_logs() as logs:
        for behind_s in (0, 0, 5, 5, 5, 0, 0):
            check.answered(told(behind_s))
    assert [entry["doubt"] for entry in logs] == ["clock-behind", ""]


def test_the_record_says_that_the_clock_kept_an_override_closed():
    at = datetime.now(UTC)
    state = State(1, "run-1", ("internal",), 0, "0" * 16)
    applying = Terms(state.lists, ()).applying(LISTED, "")
    override = LiveOverride("1", "written-consent", at + timedelta(days=1))
    facts = Facts(LISTED, LEAD, "run-1", state, True, ("internal",), override, applying)
    assert decide(LISTED, facts, at).verdict is Verdict.ALLOW
    blocked = decide(LISTED, facts._replace(closed="clock-behind"), at)
    assert (blocked.verdict, blocked.reason, blocked.detail) == (Verdict.BLOCK, "internal-dnc", "clock-behind")


@pytest.fixture
def handmade(redis_server: RedisServer) -> HandmadeProjection:
    handmade = HandmadeProjection(redis_server)
    handmade.put_on(LISTED)
    handmade.grant(LISTED, LEAD, datetime.now(UTC) + timedelta(days=1))
    return handmade


class GateWithAnotherClock(GateProcess):
    """A gate whose clock is `offset` beside the real one (libfaketime).

    The library is loaded directly, because the command `faketime` starts a child, which would outlive its end.
    """

    def __init__(self, offset: str, directory: Path, redis_url: str) -> None:
        self._offset = offset
        super().__init__(directory, redis_url, DNC_DEADLINE_MS="1000")

    def begin(self, words: list[str], log: Path, environment: dict[str, str]) -> Process:
        libraries = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            unavailable(NotInstalled("No libfaketime: install the package faketime."))
        clock = {"LD_PRELOAD": str(libraries[0]), "FAKETIME": self._offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return Process([sys.executable, "-m", "agi_gate", *words], log, {**os.environ, **environment, **clock})


@pytest.fixture(params=["-5s", "-1h"])
def slow_gate(request, handmade, redis_server: RedisServer, short_path: Path) -> Iterator[GateProcess]:
    with GateWithAnotherClock(request.param, short_path / "gate", redis_server.url) as gate:
        yield gate.until_ready()


def test_a_gate_with_a_slow_clock_opens_no_override_and_goes_on_with_unlisted_numbers(slow_gate, handmade):
    blocked = slow_gate.screen(LISTED, LEAD)
    assert (blocked.allowed, blocked.reason) == (False, "internal-dnc")
    assert handmade.decision(blocked.decision).ruling.detail == "clock-behind"
    assert slow_gate.screen(FREE).allowed
    assert slow_gate.screen("911").allowed
    status, said = slow_gate.get("/readyz")
    assert status == 200
    assert said.startswith("ready\nclock-behind: ")
    assert slow_gate.metric("dnc_gate_clock_behind_seconds") > 2


def test_a_gate_with_a_fast_clock_stops_nobody(handmade, redis_server: RedisServer, short_path: Path):
    with GateWithAnotherClock("+1h", short_path / "gate", redis_server.url) as gate:
        gate.until_ready()
        assert gate.screen(FREE).allowed
        assert gate.screen(LISTED, LEAD).allowed
        assert gate.get("/readyz") == (200, "ready\n")


def test_a_redis_that_refuses_time_is_named_in_readyz(handmade, redis_server: RedisServer, short_path: Path):
    handmade.redis.acl_setuser("default", enabled=True, nopass=True, commands=["+@all", "-time"], keys=["*"])
    try:
        with GateProcess(short_path / "gate", redis_server.url, DNC_DEADLINE_MS="1000") as gate:
            gate.until_ready()
            assert not gate.screen(LISTED, LEAD).allowed
            assert gate.screen(FREE).allowed
            assert "clock-unknown" in gate.get("/readyz")[1]
    finally:
        handmade.redis.acl_setuser("default", enabled=True, nopass=True, commands=["+@all"], keys=["*"])
