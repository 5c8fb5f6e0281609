"""The real gate on its AGI port, with a real Redis: allowed and blocked calls, and their records."""

import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agi_gate.canary import Answer, header, read_line
from compliance.redis_schema import DECISIONS, LISTS, STATE, TERMS, terms_key
from compliance.redis_terms import terms_digest
from compliance.terms import CampaignList
from compliance.verdict import DEADLINE, Verdict, block
from lab.redis import RedisServer
from tests.support.asterisk import GateProcess, Pbx
from tests.support.handmade import HandmadeProjection
from tests.support.relay import Relay

LISTED, FREE, OTHER = "+14155550100", "+14155550199", "+12125550100"


@pytest.fixture
def handmade(redis_server: RedisServer) -> HandmadeProjection:
    handmade = HandmadeProjection(redis_server)
    handmade.put_on(LISTED)
    return handmade


@pytest.fixture
def gate(handmade: HandmadeProjection, redis_server: RedisServer, short_path: Path) -> Iterator[GateProcess]:
    # Twenty times the default, so that answers are not late on a machine that is busy with other tests.
    with GateProcess(short_path / "gate", redis_server.url, DNC_DEADLINE_MS="1000") as gate:
        yield gate.until_ready()


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=5)


@pytest.mark.parametrize(
    "dialed", ["+14155550100", "14155550100", "4155550100", "+1 (415) 555-0100", "+1.415.555.0100"]
)
def test_a_listed_number_is_blocked_in_every_spelling(gate, dialed):
    answer = gate.screen(dialed)
    assert (answer.variables["DNC_VERDICT"], answer.reason, answer.number) == (
        "BLOCK",
        "internal-dnc",
        LISTED,
    )


def test_a_number_on_no_list_is_allowed_and_the_normalised_number_is_given_to_be_dialled(gate):
    answer = gate.screen("415-555-0199")
    assert answer.allowed
    assert (answer.reason, answer.number) == ("not-listed", FREE)


def test_the_answer_names_channel_number_reason_and_decision_for_dialplan_and_cdr_alike(gate):
    answer = gate.screen(FREE, channel="pbx-17.4")
    decision = answer.decision
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]{8}-[0-9a-f]{8}", decision)
    assert answer.variables == {
        "DNC_VERDICT": "ALLOW-pbx-17.4",
        "DNC_NUMBER": FREE,
        "DNC_REASON": "not-listed",
        "DNC_DECISION": decision,
        "CDR(dnc_verdict)": "ALLOW",
        "CDR(dnc_reason)": "not-listed",
        "CDR(dnc_decision)": decision,
        "CDR(dnc_number)": FREE,
    }


def test_an_override_opens_one_lead_on_one_number_until_it_is_revoked(gate, handmade):
    handmade.grant(LISTED, "lead-1", soon(), override="42")
    answer = gate.screen(LISTED, "lead-1")
    assert (answer.allowed, answer.reason) == (True, "override")
    assert handmade.decision(answer.decision).ruling.override == "42"
    assert gate.screen(LISTED, "lead-2").reason == "internal-dnc"
    assert gate.screen(LISTED, "").reason == "internal-dnc"
    assert gate.screen(LISTED, "lead-1,lead-1").reason == "internal-dnc"
    handmade.revoke(LISTED, "lead-1")
    assert gate.screen(LISTED, "lead-1").reason == "internal-dnc"


def test_a_number_on_any_list_is_blocked_and_an_override_opens_it_too(gate, handmade):
    handmade.lists = ("internal", "uk-tps", "us-ftc")
    handmade.put_on(FREE, "us-ftc")
    handmade.verify()
    answers = gate.screen(FREE), gate.screen(LISTED), gate.screen("+14155550198")
    assert [answer.reason for answer in answers] == ["us-ftc-dnc", "internal-dnc", "not-listed"]
    handmade.grant(FREE, "lead-1", soon())
    assert gate.screen(FREE, "lead-1").allowed
    assert gate.screen(FREE, "lead-2").reason == "us-ftc-dnc"


def test_an_override_ends_at_its_second_even_if_redis_still_holds_it(gate, handmade):
    for left_s in (1.2, 10.0):
        expires_at = datetime.now(UTC) + timedelta(seconds=left_s)
        handmade.grant(LISTED, "lead-1", expires_at)
        for key in handmade.redis.keys("dnc:1:override:*"):
            handmade.redis.persist(key)
        answer = gate.screen(LISTED, "lead-1")
        if datetime.now(UTC) < expires_at:  # Otherwise the machine was too busy, and needs more time.
            break
    assert answer.allowed
    gate.until("internal-dnc", LISTED, "lead-1")
    assert datetime.now(UTC) >= expires_at


def test_every_answer_is_on_the_stream_exactly_once(gate, handmade):
    answers = [gate.screen(dialed, "lead-9") for dialed in (LISTED, FREE, "nonsense", "911", "555-0100")]
    for answer in answers:
        handmade.decision(answer.decision)
    records = {decision.id: decision for decision in handmade.decisions()}
    assert len(handmade.decisions()) == len(answers)
    assert [(records[a.decision].ruling.verdict is Verdict.ALLOW) for a in answers] == [a.allowed for a in answers]
    assert [records[a.decision].ruling.reason for a in answers] == [
        "internal-dnc", "not-listed", "invalid-number", "emergency", "invalid-number",
    ]  # fmt: skip
    assert {records[a.decision].lead for a in answers} == {"lead-9"}


def test_an_emergency_number_passes_even_when_redis_is_gone(gate, redis_server):
    redis_server.running.kill()
    assert gate.screen("911").allowed
    assert gate.screen("911").number == "911"
    assert not gate.screen("9112024561111").allowed


@pytest.mark.parametrize(("channel"), ["", "a b", "x" * 151, 'a"b', "a,DNC_VERDICT=ALLOW"])
def test_a_channel_id_that_cannot_be_trusted_is_blocked(gate, channel):
    answer = gate.screen(FREE, channel=channel)
    assert (answer.variables["DNC_VERDICT"], answer.reason) == ("BLOCK", "bad-channel")


class TestNoVerifiedState:
    @pytest.mark.parametrize(
        ("damage", "detail"),
        [
            (lambda redis: redis.delete("dnc:lease"), "no-lease"),
            (lambda redis: redis.delete("dnc:state"), "no-state"),
            (lambda redis: redis.flushall(), "no-state"),
            (lambda redis: redis.hdel("dnc:state", "generation"), "no-state"),
            (lambda redis: redis.hset("dnc:state", "generation", "x"), "no-state"),
            (lambda redis: redis.hset("dnc:state", "lists", ""), "no-state"),
            (lambda redis: redis.hset("dnc:state", "incarnation", "another"), "other-incarnation"),
        ],
    )
    def test_nothing_is_allowed_and_service_is_back_with_the_state(self, gate, handmade, damage, detail):
        damage(handmade.redis)
        answer = gate.screen(FREE)
        assert (answer.allowed, answer.reason) == (False, "state-unverified")
        assert handmade.decision(answer.decision).ruling.detail == detail
        assert gate.get("/readyz")[0] == 503
        handmade.verify()
        assert gate.screen(FREE).allowed

    def test_lost_terms_are_told_by_readiness_as_soon_as_they_are_missed(self, gate, handmade):
        assert gate.screen(FREE).allowed
        handmade.generation = 2
        handmade.verify()
        handmade.redis.delete(terms_key(2))
        handmade.redis.hset("dnc:state", "terms", "0" * 16)
        answer = gate.screen(FREE)
        assert handmade.decision(answer.decision).ruling.detail == "no-terms"
        status, said = gate.get("/readyz")
        assert (status, said.startswith("no-terms: Redis does not hold the terms")) == (503, True)
        handmade.verify()
        assert gate.screen(FREE).allowed
        assert gate.get("/readyz")[0] == 200

    def test_a_restarted_redis_is_not_believed_until_it_is_verified_again(self, gate, handmade, redis_server):
        redis_server.restart()
        gate.until("state-unverified", FREE)
        handmade.verify()
        assert gate.screen(FREE).allowed
        assert not gate.screen(LISTED).allowed

    def test_the_next_generation_is_asked_as_soon_as_it_is_live(self, gate, handmade):
        assert gate.screen(FREE).allowed
        handmade.generation = 2
        handmade.put_on(FREE)
        handmade.verify()
        assert gate.screen(FREE).reason == "internal-dnc"
        assert gate.screen(LISTED).allowed

    def test_a_key_of_the_wrong_kind_is_a_doubt_not_a_no(self, gate, handmade):
        handmade.redis.set("dnc:1:internal:{1415555}", "not a set")
        assert (gate.screen(FREE).reason, gate.screen(LISTED).reason) == (
            "store-unavailable",
            "store-unavailable",
        )


class TestRedisTrouble:
    def test_a_redis_that_is_gone_blocks_and_is_found_again(self, gate, handmade, redis_server):
        redis_server.running.kill()
        answer = gate.screen(FREE)
        assert answer.reason in {"store-unavailable", "deadline"}
        redis_server.start()
        gate.until("state-unverified", FREE)
        handmade.verify()
        gate.until("not-listed", FREE)
        assert handmade.decision(answer.decision).ruling.verdict is Verdict.BLOCK

    def test_a_redis_that_hangs_blocks_within_the_deadline_and_is_found_again(self, gate, handmade, redis_server):
        redis_server.running.pause()
        started = datetime.now(UTC)
        answer = gate.screen(FREE)
        assert datetime.now(UTC) - started < timedelta(seconds=10), "Redis hangs until the test lets it go on"
        assert answer.reason in {"store-unavailable", "deadline"}
        redis_server.running.resume()
        gate.until("not-listed", FREE)
        assert handmade.decision(answer.decision).ruling.verdict is Verdict.BLOCK

    def test_without_a_record_there_is_no_call(self, gate, handmade):
        handmade.redis.config_set("maxmemory", "1mb")
        answer = gate.screen(FREE)
        assert (answer.allowed, answer.reason) == (False, "record-unavailable")
        assert gate.screen(LISTED).reason == "internal-dnc"
        assert gate.metric("dnc_gate_record_backlog") == 2
        handmade.redis.config_set("maxmemory", "0")
        gate.until("not-listed", FREE)
        assert handmade.decision(answer.decision).ruling.reason == "record-unavailable"

    def test_a_replica_that_may_not_write_gives_no_allow(self, gate, handmade):
        handmade.redis.replicaof("127.0.0.1", "1")
        assert not gate.screen(FREE).allowed
        handmade.redis.replicaof("NO", "ONE")
        handmade.verify()
        gate.until("not-listed", FREE)


def test_a_gate_that_stood_still_allows_nothing_on_what_it_knew_before(handmade, redis_server, short_path):
    with (
        Relay(redis_server.socket) as relay,
        GateProcess(short_path / "gate", f"redis://127.0.0.1:{relay.port}", DNC_DEADLINE_MS="1000") as gate,
        Pbx(gate.until_ready().port) as pbx,
    ):
        for _ in range(2):  # Then the gate knows the terms and Redis the script, so a call takes one round trip.
            assert gate.screen(FREE).allowed
        before = handmade.redis.xlen(DECISIONS)
        relay.hold()
        pbx.send(header(FREE, "", "pbx-1.1"))
        gate.process.wait_until(lambda: handmade.redis.xlen(DECISIONS) > before)
        gate.process.pause()
        relay.release()  # Redis has allowed the call, and its reply waits in the socket of the stopped gate.
        handmade.put_on(FREE)
        time.sleep(1.2)  # longer than the deadline
        gate.process.resume()
        answer = Answer("pbx-1.1", read_line(pbx.line()))
        assert (answer.allowed, answer.reason) == (False, "deadline")
        gate.process.wait_until(lambda: handmade.redis.xlen(DECISIONS) == before + 2)
        assert handmade.decision(answer.decision).ruling == block(DEADLINE)


def test_a_gate_that_is_stopped_records_the_call_of_a_caller_who_has_hung_up(handmade, redis_server, short_path):
    with (
        Relay(redis_server.socket) as relay,
        GateProcess(short_path / "gate", f"redis://127.0.0.1:{relay.port}", DNC_DEADLINE_MS="1000") as gate,
    ):
        gate.until_ready()
        assert gate.screen(LISTED).reason == "internal-dnc"
        before = handmade.redis.xlen(DECISIONS)
        relay.hold()
        with Pbx(gate.port) as pbx:
            pbx.send(header(LISTED, "", "pbx-1.1"))
            gate.process.wait_until(lambda: gate.metric("dnc_gate_open_conversations") == 1)
        gate.process.wait_until(lambda: gate.metric("dnc_gate_open_conversations") == 0)
        gate.process.signal(signal.SIGTERM)
        time.sleep(0.3)  # A gate that does not wait for the screening has ended by then.
        relay.release()
        assert gate.process.wait() == 0
        assert handmade.redis.xlen(DECISIONS) == before + 1


def test_metrics_count_calls_by_verdict_and_reason(gate):
    gate.screen(LISTED)
    gate.screen(FREE)
    gate.screen(FREE)
    assert gate.metric('dnc_gate_calls_total{reason="not-listed",verdict="ALLOW"}') == 2
    assert gate.metric('dnc_gate_calls_total{reason="internal-dnc",verdict="BLOCK"}') == 1
    assert gate.metric('dnc_gate_seconds_bucket{le="+Inf"}') == 3
    assert gate.metric("dnc_gate_ready") == 1


def test_a_list_whose_name_cannot_be_said_to_a_pbx_allows_nobody_and_harms_no_other_call(gate, handmade):
    handmade.redis.hset(STATE, LISTS, "internal,odd name")
    handmade.put_on(FREE, "odd name")
    with Pbx(gate.port) as pbx:
        pbx.send(header(FREE, "", "pbx-1.1"))
        assert pbx.read() == b""
    assert gate.screen(LISTED).reason == "internal-dnc"
    assert gate.screen("+14155550198").allowed


def asked_of(handmade: HandmadeProjection) -> dict[str, int]:
    """Return how often Redis was asked by a script, for a key, and for the membership of a set, since the last time."""
    said = handmade.redis.info("commandstats")
    handmade.redis.config_resetstat()
    return {name: said.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "get", "sismember")}


def test_a_pattern_blocks_its_numbers_opens_by_an_override_and_costs_other_calls_nothing(handmade, gate):
    gate.screen(FREE)
    handmade.patterns = ("1415", "1415555", "1911", "442")
    handmade.verify()
    answer = gate.screen(FREE)
    recorded = handmade.decision(answer.decision).ruling
    assert (answer.variables["DNC_VERDICT"], answer.reason, recorded.detail) == ("BLOCK", "internal-pattern", "1415555")
    handmade.grant(FREE, "lead-1", soon())
    assert gate.screen(FREE, "lead-1").reason == "override"
    assert gate.screen(FREE, "lead-2").reason == "internal-pattern"
    assert gate.screen(LISTED).reason == "internal-dnc"
    for emergency in ("911", "112"):
        assert (gate.screen(emergency).allowed, gate.screen(emergency).reason) == (True, "emergency")
    assert gate.screen("19115550100").reason == "invalid-number"
    assert gate.screen("5550100").reason == "invalid-number"
    gate.screen("+12125550100")
    asked_of(handmade)
    assert gate.screen("+12125550100").allowed
    assert asked_of(handmade) == {"evalsha": 1, "get": 0, "sismember": 1}


def test_a_campaign_list_is_looked_up_in_calls_of_its_campaigns_and_no_others(handmade, gate):
    handmade.lists, handmade.campaign_lists = ("internal", "spring"), (CampaignList("spring", ("spring-26",)),)
    handmade.verify()
    handmade.put_on(FREE, "spring")

    def reason(number: str, *campaign: str) -> str:
        with Pbx(gate.port) as pbx:
            pbx.send(header(number, "", "pbx-1.1").replace(b"agi_arg_2: \n", b"agi_arg_2: \n" + _third(*campaign)))
            line = pbx.line()
        return line.partition(b"DNC_REASON=")[2].partition(b",")[0].decode()

    assert [reason(FREE, name) for name in ("spring-26", "Spring-26", "autumn")] == ["spring-dnc"] + ["not-listed"] * 2
    assert reason(FREE) == "not-listed"
    assert [reason(LISTED, name) for name in ("spring-26", "autumn")] == ["internal-dnc"] * 2
    asked_of(handmade)
    assert reason(OTHER, "autumn") == reason(OTHER, "spring-26") == "not-listed"
    assert asked_of(handmade) == {"evalsha": 2, "get": 0, "sismember": 3}


def _third(*campaign: str) -> bytes:
    return b"".join(b"agi_arg_3: %s\n" % name.encode() for name in campaign)


def test_terms_of_a_later_version_block_every_call(handmade, gate):
    document = b'{"registries":[],"windows":{}}'
    handmade.redis.set(terms_key(1), document)
    handmade.redis.hset(STATE, TERMS, terms_digest(document))
    answer = gate.screen(FREE)
    assert (answer.allowed, answer.reason) == (False, "state-unverified")
    assert handmade.decision(answer.decision).ruling.detail == "no-terms"
