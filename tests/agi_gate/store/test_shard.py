"""One shard: its incarnation comes from its own node, and facts count only with the mark of the number's slot."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis.exceptions import ResponseError

from agi_gate.store.health import Health
from agi_gate.store.questions import Answers, question
from agi_gate.store.shard import ShardLink, ShardStore
from agi_gate.store.wire import StoreUnavailable
from compliance.cluster import Shard
from compliance.facts import Facts
from compliance.numbers import E164
from compliance.redis_masters import Master
from compliance.redis_schema import Keys, slot_key, slot_of_number
from compliance.redis_terms import terms_digest, terms_value
from tests.support.scripted_redis import NOW, FakeRedis, as_redis

NUMBER = E164("+14155550100")
DOCUMENT = terms_value([])
STATE = NOW._replace(terms=terms_digest(DOCUMENT))


def facts(mark: object) -> tuple[Facts, bytes]:
    """Return the facts of a number whose slot has this mark, and the commands that fetched them."""
    store = ShardStore(SimpleNamespace(health=Health(state=STATE, clock_behind_s=0.0), keys=Keys(5)))
    steps = store.facts(NUMBER, None)
    next(steps)
    asked = steps.send(Answers("run-1", STATE, STATE, True, [DOCUMENT])).commands
    with pytest.raises(StopIteration) as end:
        steps.send(Answers("run-1", STATE, STATE, True, [0, mark]))
    return end.value.value, asked


def test_facts_of_a_slot_that_was_built_for_this_state_are_believed():
    known, asked = facts(STATE.incarnation.encode())
    assert (known.state, known.doubt(), known.listed) == (STATE, "", ())
    assert asked.split(b"\r\n")[-2] == slot_key(7, slot_of_number(NUMBER)).encode()


@pytest.mark.parametrize("mark", [None, b"", b"run-2", 1, ResponseError("MOVED 5 127.0.0.1:7001")])
def test_facts_of_a_slot_without_that_mark_are_none(mark):
    known, _ = facts(mark)
    assert known.doubt() == "no-state"


def nodes(ranges: str, flags: str = "myself,master") -> bytes:
    said = f"{'a' * 40} 127.0.0.1:7000@17000 {flags} - 0 0 3 connected {ranges}\n".encode()
    return b"$%d\r\n%s\r\n" % (len(said), said)


class Cluster:
    """A shard that begins at slot 5, and its link."""

    def __init__(self, directory: Path) -> None:
        self.said, self.doubted = nodes("5-100"), asyncio.Event()
        self.at_handshake: Callable[[], object] = list
        self.master = Master(f"unix://{directory}/redis.sock", "what others say")
        self.link = ShardLink(5, self.doubted, timeout_s=0.5, replicas=0)

    def say(self, command: list[bytes]) -> bytes:
        match command:
            case [b"CLUSTER", b"NODES"]:
                self.at_handshake()
                return self.said
            case [b"MOVE"]:
                return b"-MOVED 5 127.0.0.1:7001\r\n"
            case _:
                return as_redis(command)


@pytest.fixture
async def cluster(short_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(short_path)
    server = await asyncio.start_unix_server(FakeRedis(cluster.say).serve, short_path / "redis.sock")
    running = asyncio.create_task(cluster.link.run())
    yield cluster
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    server.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.001)


async def connected(cluster: Cluster) -> None:
    cluster.link.mastership.announce(cluster.master)
    await until(lambda: cluster.link.health.state is not None)
    cluster.doubted.clear()


async def test_a_shard_is_named_by_its_own_word_for_its_reign(cluster: Cluster):
    await connected(cluster)
    assert cluster.link.health.server == f"run-1.{Shard('a', '', 3, ((5, 100),)).reign}"


@pytest.mark.parametrize("said", [nodes("6-100"), nodes("0-100"), nodes(""), nodes("5-100", "myself,slave")])
async def test_a_node_that_has_other_slots_or_none_is_not_the_shard_and_the_cluster_is_looked_at(
    cluster: Cluster, said: bytes
):
    cluster.said = said
    cluster.link.mastership.announce(cluster.master)
    await until(lambda: cluster.link.health.trouble == "its slots have moved")
    assert cluster.doubted.is_set()


async def test_an_error_among_the_answers_has_the_cluster_looked_at_and_no_other_answer_does(cluster: Cluster):
    await connected(cluster)
    await cluster.link.answers_to(("ECHO", "word"))
    assert not cluster.doubted.is_set()
    answers = await cluster.link.answers_to(("ECHO", "word"), ("MOVE",))
    assert isinstance(answers.replies[1], ResponseError)
    assert cluster.doubted.is_set()


async def test_another_master_is_connected_to_and_the_same_is_left_alone(cluster: Cluster):
    await connected(cluster)
    cluster.link.mastership.announce(cluster.master)
    await cluster.link.answers_to(("ECHO", "word"))
    assert (cluster.link.health.connects, cluster.doubted.is_set()) == (1, False)
    cluster.link.mastership.announce(Master(cluster.master.url, "another reign"))
    await until(lambda: cluster.link.health.connects == 2)
    assert cluster.doubted.is_set()


async def test_a_master_that_is_announced_during_the_handshake_with_the_old_one_is_connected_to(
    cluster: Cluster, short_path: Path
):
    other = await asyncio.start_unix_server(FakeRedis(cluster.say).serve, short_path / "other.sock")
    new = Master(f"unix://{short_path}/other.sock", "another reign")
    cluster.at_handshake = lambda: cluster.link.mastership.announce(new)
    cluster.link.mastership.announce(cluster.master)
    await until(lambda: cluster.link.health.state is not None)
    assert cluster.link.mastership.connected == new
    other.close()


async def test_as_long_as_no_shard_is_known_nothing_is_asked(cluster: Cluster):
    await until(lambda: cluster.link.health.trouble == "no shard of the cluster is known yet")
    with pytest.raises(StoreUnavailable, match="no shard"):
        cluster.link.ask(None, question(("PING",)))
