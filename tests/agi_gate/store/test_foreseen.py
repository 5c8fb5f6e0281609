"""A decision on foreseen facts, on a real Redis: it is appended only if all facts were foreseen correctly."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agi_gate.decision_log import DecisionLog
from agi_gate.store.facts import FactStore
from agi_gate.store.foreseen import LOAD, append_if
from agi_gate.store.link import Link
from agi_gate.store.questions import Answers, Question, RedisSteps
from agi_gate.store.wire import StoreUnavailable
from compliance import verdict
from compliance.facts import Facts, State
from compliance.numbers import E164
from compliance.redis_records import DECISION_FIELDS, decision_fields
from compliance.redis_schema import DECISIONS, LEASE, STATE, STATE_FIELDS, Keys, exchange_and_line, listed_key
from compliance.terms import Applying
from compliance.verdict import Decision, allow
from lab.redis import RedisServer
from tests.agi_gate.store.test_link import linked
from tests.support.handmade import HandmadeProjection
from tests.support.scripted_redis import FakeRedis, as_redis

NUMBER = E164("+14155550199")
LISTS = ("internal", "us-ftc")
DECISION = Decision(
    "id-1", datetime.now(UTC), allow(verdict.NOT_LISTED, "a"), "415", NUMBER, "lead-1", "pbx-1.1", 1, "g"
)


class Asked:
    """Sends the questions of one record to Redis, and gives the test the result."""

    over = False

    def __init__(self, link: Link) -> None:
        self.link, self.questions = link, list[Question]()
        self.end: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def record(self, facts: Facts, decision: Decision = DECISION) -> bool:
        return await self.go(DecisionLog(self.link).record_foreseen(decision, facts))

    async def go(self, steps: RedisSteps[object]) -> object:
        self.steps = steps
        self._go(steps.send, None)
        return await self.end

    def answered(self, answers: Answers) -> None:
        self._go(self.steps.send, answers)

    def failed(self, error: StoreUnavailable) -> None:
        self._go(self.steps.throw, error)

    def _go(self, step: Callable[..., Question], given: object) -> None:
        try:
            self.questions.append(step(given))
        except StopIteration as end:
            self.end.set_result(end.value)
        else:
            self.link.ask(self, self.questions[-1])


@pytest.fixture
def handmade(redis_server: RedisServer) -> HandmadeProjection:
    handmade = HandmadeProjection(redis_server)
    handmade.lists = LISTS
    handmade.verify()
    return handmade


@asynccontextmanager
async def running(link: Link) -> AsyncIterator[None]:
    run = asyncio.create_task(link.run())
    async with asyncio.timeout(20):
        while link.health.state is None:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.001)
    yield
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


@pytest.fixture
async def link(handmade: HandmadeProjection, redis_server: RedisServer) -> AsyncIterator[Link]:
    link = Link(redis_server.url, timeout_s=20)
    async with running(link):
        yield link


def facts_of(link: Link) -> Facts:
    applying = Applying(LISTS, (), allow(verdict.NOT_LISTED))
    return Facts(NUMBER, None, link.health.server, link.health.state, leased=True, applying=applying)


async def test_the_first_record_teaches_redis_the_script_and_the_next_is_made_in_one_step(link, handmade):
    handmade.redis.script_flush()  # A gate of another test may have taught this server already.
    assert await Asked(link).record(facts_of(link)) is False
    assert handmade.decisions() == []
    asked = Asked(link)
    assert await asked.record(facts_of(link)) is True
    assert len(asked.questions) == 1
    [recorded] = handmade.decisions()
    assert decision_fields(recorded) == decision_fields(DECISION)


async def test_a_link_that_opens_with_the_script_makes_the_first_record_in_one_step(handmade, redis_server):
    link = Link(redis_server.url, timeout_s=20, opening=[LOAD])
    async with running(link):
        assert await Asked(link).record(facts_of(link)) is True


async def test_a_redis_that_lets_nobody_load_a_script_is_used_all_the_same(handmade, redis_server):
    handmade.redis.execute_command("ACL", "SETUSER", "default", "-script", "-evalsha")
    link = Link(redis_server.url, timeout_s=20, opening=[LOAD])
    async with running(link):
        assert await Asked(link).record(facts_of(link)) is False
        assert (await link.answers_to(("PING",))).after == link.health.state


async def test_a_redis_that_forgot_the_script_is_taught_it_again(link, handmade):
    for expected in (False, True):
        assert await Asked(link).record(facts_of(link)) is expected
    handmade.redis.script_flush()
    for expected in (False, True):
        assert await Asked(link).record(facts_of(link)) is expected
    assert len(handmade.decisions()) == 2


def test_the_script_spells_every_field_of_a_decision_in_its_order():
    assert tuple(decision_fields(DECISION)) == DECISION_FIELDS
    assert tuple(decision_fields(DECISION._replace(campaign="spring"))) == (*DECISION_FIELDS, "campaign")


async def test_a_campaign_stands_in_the_record_and_makes_no_list_pass_unasked(link, handmade):
    foreseen, spring = facts_of(link), DECISION._replace(campaign="spring")
    await Asked(link).record(foreseen, spring)
    assert await Asked(link).record(foreseen, spring) is True
    assert [one.campaign for one in handmade.decisions()] == ["spring"]
    for name in LISTS:
        listed_on(name)(handmade)
        assert await Asked(link).record(foreseen, spring) is False
        handmade.redis.delete(listed_key(1, name, exchange_and_line(NUMBER)[0]))
    assert len(handmade.decisions()) == 1


def listed_on(name: str) -> Callable[[HandmadeProjection], object]:
    exchange, line = exchange_and_line(NUMBER)
    return lambda handmade: handmade.redis.sadd(listed_key(1, name, exchange), line)


def of_another_type(handmade: HandmadeProjection) -> None:
    handmade.redis.set(listed_key(1, "us-ftc", exchange_and_line(NUMBER)[0]), "no set")


def full(handmade: HandmadeProjection) -> None:
    handmade.redis.config_set("maxmemory", "1")


@pytest.mark.parametrize(
    "spoil",
    [
        *(
            pytest.param(lambda p, f=field: p.redis.hset(STATE, f, "9"), id=f"another {field}")
            for field in STATE_FIELDS
        ),
        *(pytest.param(lambda p, f=field: p.redis.hdel(STATE, f), id=f"no {field}") for field in STATE_FIELDS),
        pytest.param(lambda p: p.redis.delete(STATE), id="no state"),
        pytest.param(lambda p: p.redis.delete(LEASE), id="no lease"),
        pytest.param(listed_on("internal"), id="on the first list"),
        pytest.param(listed_on("us-ftc"), id="on the last list"),
        pytest.param(of_another_type, id="a list that is no set"),
        pytest.param(lambda p: p.redis.set(DECISIONS, "no stream"), id="no stream"),
        pytest.param(full, id="no memory left"),
    ],
)
async def test_nothing_is_appended_when_anything_is_otherwise(link, handmade, spoil):
    foreseen = facts_of(link)
    await Asked(link).record(foreseen)
    spoil(handmade)
    assert await Asked(link).record(foreseen) is False
    assert handmade.redis.type(DECISIONS) in {b"none", b"string"}


async def test_a_change_that_is_counted_is_seen_though_the_gate_has_not_heard_of_it(link, handmade):
    foreseen = facts_of(link)
    await Asked(link).record(foreseen)
    handmade.put_on("+14155550100")
    assert await Asked(link).record(foreseen) is False
    await link.answers_to(("PING",))
    assert await Asked(link).record(facts_of(link)) is True


async def test_nothing_is_foreseen_unless_the_terms_are_known_that_the_state_speaks_of(link, handmade):
    store = FactStore(link)
    assert store.foreseen(NUMBER, None) is None
    await Asked(link).go(store.facts(NUMBER, None))
    assert store.foreseen(NUMBER, None) == facts_of(link)._replace(applying=store.foreseen(NUMBER, None).applying)
    assert store.foreseen(NUMBER, None, "spring").campaign == "spring"
    handmade.redis.hset(STATE, "terms", "0" * 16)
    await link.answers_to(("PING",))
    assert store.foreseen(NUMBER, None) is None


async def test_without_a_state_nothing_is_asked(link):
    asked = Asked(link)
    assert await asked.record(facts_of(link)._replace(state=None)) is False
    assert asked.questions == []


@pytest.mark.parametrize(("mark", "appended"), [("the state's", True), ("another's", False), ("", False)])
async def test_on_a_shard_nothing_is_appended_unless_the_slot_was_built_for_its_state(
    handmade, redis_server, mark, appended
):
    shard = Keys(first_slot=0)
    redis, key = handmade.redis, shard.mark(1, NUMBER)
    redis.copy(STATE, shard.state)
    redis.set(shard.lease, "1")
    if mark:
        redis.set(key, redis.hget(STATE, "incarnation") if mark == "the state's" else mark)
    link = Link(redis_server.url, timeout_s=20, opening=[LOAD], keys=shard)
    async with running(link):
        assert await Asked(link).record(facts_of(link)) is appended
    assert redis.xlen(shard.decisions) == appended


async def test_a_reply_that_was_lost_gives_no_call_the_record_of_another(short_path: Path):
    recorded = list[bytes]()

    def losing_the_first_record(command: list[bytes]) -> bytes:
        if command[0] != b"EVALSHA":
            return as_redis(command)
        recorded.append(command[9])
        return b"$%d\r\n%b\r\n" % (len(command[9]), command[9]) if len(recorded) > 1 else b""

    async with linked(short_path, FakeRedis(losing_the_first_record)) as link, asyncio.timeout(20):
        foreseen, calls = facts_of(link), [DECISION._replace(id=f"id-{number}") for number in range(4)]
        assert await asyncio.gather(*(Asked(link).record(foreseen, one) for one in calls)) == [False] * 4
        assert recorded == [one.id.encode() for one in calls]
        while link.health.connects < 2:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)


def test_replicas_are_waited_for_and_no_state_is_read_around_it():
    state = State(1, "run-1", LISTS, 0, "0" * 16)
    question = append_if(Facts(NUMBER, None, "run-1", state, leased=True), state, DECISION)
    assert (question.to_replicas, question.self_checking, question.replies) == (True, True, 1)
