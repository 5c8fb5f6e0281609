"""Records that must wait: kept in order and up to a limit, and never dropped silently."""

from datetime import UTC, datetime, timedelta

import pytest
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from agi_gate import backlog
from agi_gate.decision_id import DecisionIds
from agi_gate.decision_log import DecisionLog, RecordUnavailable, append
from agi_gate.store.health import Health
from agi_gate.store.link import Link
from agi_gate.store.questions import Answers
from agi_gate.store.wire import Command, StoreUnavailable
from compliance import verdict
from compliance.facts import Facts, State
from compliance.numbers import E164
from compliance.redis_records import read_decision
from compliance.redis_schema import Keys
from compliance.terms import Applying
from compliance.verdict import Decision, allow, block

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def decision(number: int) -> Decision:
    return Decision(f"id-{number}", datetime.now(UTC), block(verdict.DEADLINE), "", "", "", "", 0, "gate")


def fields_of(command: Command) -> dict[bytes, bytes]:
    words = [str(word).encode() for word in command[3:]]
    return dict(zip(words[::2], words[1::2], strict=True))


def unreachable() -> DecisionLog:
    return DecisionLog(Link("redis://127.0.0.1:1", timeout_s=1))


def test_without_redis_a_decision_cannot_be_recorded():
    recording = unreachable().record(decision(1))
    next(recording)
    with pytest.raises(RecordUnavailable, match="gone"):
        recording.throw(StoreUnavailable("gone"))


def test_a_record_that_too_few_replicas_have_is_none():
    recording = unreachable().record(decision(1))
    assert next(recording).to_replicas
    with pytest.raises(RecordUnavailable, match="too few replicas"):
        recording.send(Answers("run-1", None, None, True, [b"1-1"], replicated=False))


def test_a_foreseen_record_that_too_few_replicas_have_is_none():
    state = State(1, "run-1", ("internal",), 0, "0" * 16)
    applying = Applying(("internal",), (), allow(verdict.NOT_LISTED))
    facts = Facts(E164("+14155550100"), None, "run-1", state, leased=True, applying=applying)
    recording = unreachable().record_foreseen(decision(1), facts)
    assert next(recording).to_replicas
    with pytest.raises(RecordUnavailable, match="too few replicas"):
        recording.send(Answers("run-1", None, None, True, [b"id-1"], replicated=False))


def test_a_redis_that_takes_no_record_has_none():
    recording = unreachable().record(decision(1))
    next(recording)
    with pytest.raises(RecordUnavailable, match="OOM"):
        recording.send(Answers("run-1", None, None, True, [ResponseError("OOM")]))


ODD = [
    b"OK",
    b"QUEUED",
    b"",
    b"1",
    b"1-",
    b"-1",
    b"1-1\n",
    b"1-1 ",
    "\N{SUPERSCRIPT ONE}-1".encode(),
    1,
    None,
    [b"1-1"],
]


@pytest.mark.parametrize("reply", ODD)
def test_only_the_id_of_an_entry_is_a_record(reply):
    recording = unreachable().record(decision(1))
    next(recording)
    with pytest.raises(RecordUnavailable):
        recording.send(Answers("run-1", None, None, True, [reply]))


@pytest.mark.parametrize("reply", [*ODD, b"1-1", b"id-2", b"id-1 "])
def test_only_the_id_of_the_decision_itself_is_a_foreseen_record(reply):
    state = State(1, "run-1", ("internal",), 0, "0" * 16)
    applying = Applying(("internal",), (), allow(verdict.NOT_LISTED))
    facts = Facts(E164("+14155550100"), None, "run-1", state, leased=True, applying=applying)
    recording = unreachable().record_foreseen(decision(1), facts)
    next(recording)
    with pytest.raises(StopIteration) as end:
        recording.send(Answers("run-1", None, None, True, [reply]))
    assert end.value.value is False


async def test_what_is_noted_waits_until_redis_takes_it():
    log = unreachable()
    log.note(decision(1))
    assert await log.flush() is False
    assert log.backlog == 1


class Replicated:
    """A link whose Redis takes every record. `replicas` says whether its replicas have them."""

    def __init__(self) -> None:
        self.health, self.keys = Health(connected=True, connects=1), Keys()
        self.replicas, self.appended, self.decisions = False, list[str](), list[Decision]()

    async def answers_to(self, *commands: Command, to_replicas: bool = False) -> Answers:
        if not self.health.connected:
            raise StoreUnavailable("gone")
        self.appended += [command[4] for command in commands]
        self.decisions += [read_decision(fields_of(command)) for command in commands]
        replies = [b"1-1" for _ in commands]
        return Answers("run-1", None, None, True, replies, replicated=self.replicas or not to_replicas)


async def test_what_the_replicas_lack_waits_and_is_not_appended_twice():
    link = Replicated()
    log = DecisionLog(link)
    log.note(decision(1))
    assert [await log.flush(), await log.flush(), log.backlog] == [False, False, 1]
    log.note(decision(2))
    link.replicas = True
    assert [await log.flush(), log.backlog, await log.flush(), log.backlog] == [True, 1, True, 0]
    assert link.appended == ["id-1", "id-2"]


async def test_what_the_replicas_may_lack_is_appended_again_on_another_connection():
    link = Replicated()
    log = DecisionLog(link)
    log.note(decision(1))
    await log.flush()
    link.health.connects, link.replicas = 2, True
    assert (await log.flush(), log.backlog, link.appended) == (True, 0, ["id-1", "id-1"])


def test_a_log_that_nothing_runs_any_more_leaves_all_its_decisions_to_another():
    gone, heir = unreachable(), unreachable()
    gone.note(decision(1))
    gone.bequeath(heir)
    gone.note(decision(2))
    assert gone.backlog == 0
    assert [one.id for one in heir._backlog.memory] == ["id-1", "id-2"]


async def test_without_a_disk_the_oldest_goes_when_there_is_no_more_room_and_the_loss_goes_on_record(monkeypatch):
    monkeypatch.setattr(backlog, "LONGEST", 2)
    link = Replicated()
    link.replicas, link.health.connected = True, False
    log = DecisionLog(link, None, "pbx-1:7")
    with capture_logs() as said:
        for number in range(4):
            log.note(decision(number)._replace(at=AT + timedelta(seconds=number)))
    assert (log.backlog, log.dropped) == (2, 2)
    assert [line["event"] for line in said] == ["decisions lost: too many wait to be recorded"]
    link.health.connected = True
    while log.backlog:
        assert await log.flush()
    assert link.appended[:2] == ["id-2", "id-3"]
    lost = link.decisions[-1]
    assert (lost.at, lost.ruling.reason, lost.gate) == (AT, "records-lost", "pbx-1:7")
    assert lost.ruling.detail == "2 calls until 2026-03-01T12:00:01Z"
    assert len(link.decisions) == 3


def test_an_entry_of_the_stream_carries_every_field():
    command = append(decision(1))
    assert command[:3] == ("XADD", "dnc:decisions", "*")
    assert {"id", "at", "verdict", "reason", "number", "lead", "channel", "gate"} <= set(command[3::2])


def test_ids_are_unique_in_the_order_of_time_and_safe_on_a_line():
    at, ids, others = datetime.now(UTC), DecisionIds(), DecisionIds()
    some = [ids.next(at) for _ in range(1000)]
    assert some == sorted(some)
    assert len({*some, *(others.next(at) for _ in range(1000))}) == 2000
    assert all(len(each) == 30 and set(each) <= set("0123456789abcdef-") for each in some)
