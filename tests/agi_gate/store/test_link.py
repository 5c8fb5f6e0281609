"""The link to a fake Redis on a real socket: one loop tick is one pipeline, and each asker gets its own answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agi_gate.store import link as room
from agi_gate.store import notices, reconnecting
from agi_gate.store.health import Health
from agi_gate.store.link import Link
from agi_gate.store.questions import Answers, question
from agi_gate.store.wire import StoreUnavailable
from compliance.redis_masters import Master
from tests.support.scripted_redis import NOW, FakeRedis, as_redis, told


@asynccontextmanager
async def linked(
    directory: Path, fake: FakeRedis, replicas: int = 0, kind: type[Link] = Link, timeout_s: float = 10.0
) -> AsyncIterator[Link]:
    server = await asyncio.start_unix_server(fake.serve, directory / "redis.sock")
    link = kind(f"unix://{directory}/redis.sock", timeout_s=timeout_s, replicas=replicas)
    running = asyncio.create_task(link.run())
    async with asyncio.timeout(20):
        while link.health.doubt:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)
    yield link
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    server.close()


async def echoed(link: Link, word: bytes) -> Answers:
    return await link.answers_to(("ECHO", word), ("ECHO", word))


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
async def test_each_asker_gets_the_replies_to_its_own_question_however_they_are_cut(short_path, chunk):
    fake = FakeRedis(chunk=chunk)
    async with linked(short_path, fake) as link:
        words = [b"word-%d" % number for number in range(50)]
        answers = await asyncio.gather(*(echoed(link, word) for word in words))
    assert [list(each.replies) for each in answers] == [[word, word] for word in words]
    assert {(each.server, each.leased, each.after.changes) for each in answers} == {("run-1", True, 3)}


async def test_what_is_asked_first_goes_at_once_and_the_rest_of_a_tick_in_one_pipeline_between_two_looks(short_path):
    fake = FakeRedis()
    async with linked(short_path, fake) as link:
        before = len(fake.batches)
        await asyncio.gather(*(echoed(link, b"%d" % number) for number in range(20)))
        said = [command[0] for batch in fake.batches[before:] for command in batch]
    first = [b"HMGET", b"EXISTS", *[b"ECHO"] * 2, b"HMGET"]
    rest = [b"HMGET", b"EXISTS", *[b"ECHO"] * 38, b"HMGET"]
    assert said[: len(first + rest)] == first + rest


async def test_when_calls_come_together_even_the_first_waits_for_the_others_of_its_tick(short_path):
    fake = FakeRedis()
    async with linked(short_path, fake) as link:
        for _ in range(2):
            before = len(fake.batches)
            await asyncio.gather(*(echoed(link, b"%d" % number) for number in range(20)))
        said = [command[0] for batch in fake.batches[before:] for command in batch]
    together = [b"HMGET", b"EXISTS", *[b"ECHO"] * 40, b"HMGET"]
    assert said[: len(together)] == together


async def test_no_state_is_read_around_what_stands_alone_and_it_is_read_again_with_the_next_that_does_not(short_path):
    fake = FakeRedis()
    async with linked(short_path, fake) as link:
        before = len(fake.batches)
        for alone in (True, False):
            waiting = Waiting()
            link.ask(waiting, question(("ECHO", b"word"), self_checking=alone))
            answers = await waiting.answers
            assert (answers.server, answers.replies) == ("run-1", [b"word"])
            assert (answers.after is None) is alone
        said = [command[0] for batch in fake.batches[before:] for command in batch]
    assert said[:5] == [b"ECHO", b"HMGET", b"EXISTS", b"ECHO", b"HMGET"]


async def test_what_stands_alone_travels_with_the_state_where_another_needs_it(short_path):
    async with linked(short_path, FakeRedis()) as link:
        askers = [Waiting() for _ in range(4)]
        for waiting, stands_alone in zip(askers, (True, True, False, True), strict=True):
            link.ask(waiting, question(("ECHO", b"word"), self_checking=stands_alone))
        answers = [await waiting.answers for waiting in askers]
    assert [each.replies for each in answers] == [[b"word"]] * 4
    assert [each.before is None for each in answers] == [True, False, False, False]


async def test_the_state_is_looked_at_though_all_that_is_asked_stands_alone(short_path, monkeypatch):
    monkeypatch.setattr(room, "POLL_S", 0.02)
    looks = []

    def say(command: list[bytes]) -> bytes:
        looks.extend(command[:1] if command[0] == b"EXISTS" else [])
        return as_redis(command)

    async with linked(short_path, FakeRedis(say), timeout_s=2) as link, asyncio.timeout(20):
        while len(looks) < 5:
            waiting = Waiting()
            link.ask(waiting, question(("ECHO", b"word"), self_checking=True))
            await waiting.answers


async def test_a_connection_that_broke_in_this_very_tick_is_asked_no_more_and_what_waits_for_it_fails(short_path):
    async with linked(short_path, FakeRedis()) as link:
        first, second = Waiting(), Waiting()
        for waiting in (first, second):
            link.ask(waiting, question(("ECHO", b"word")))
        link._pipe.end(ConnectionError("gone"))
        with pytest.raises(StoreUnavailable, match="broke"):
            link.ask(Waiting(), question(("ECHO", b"word")))
        for waiting in (first, second):
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(waiting.answers, 20)


class Waiting:
    """An asker that a test awaits."""

    over = False

    def __init__(self) -> None:
        self.answers = asyncio.get_running_loop().create_future()

    def answered(self, answers: Answers) -> None:
        self.answers.set_result(answers)

    def failed(self, error: StoreUnavailable) -> None:
        self.answers.set_exception(error)


async def test_an_asker_that_gave_up_before_it_was_sent_is_not_sent(short_path):
    class GivenUp:
        over = True

        def answered(self, answers: Answers) -> None:
            raise AssertionError

        failed = answered

    fake = FakeRedis()
    async with linked(short_path, fake) as link:
        first = asyncio.create_task(echoed(link, b"first"))  # This one is sent at once, and the others wait.
        await asyncio.sleep(0)
        link.ask(GivenUp(), question(("ECHO", b"late")))
        await echoed(link, b"in time")
        await first
    assert not [batch for batch in fake.batches if [b"ECHO", b"late"] in batch]


class Faulty(Waiting):
    """An asker with a fault."""

    def answered(self, answers: Answers) -> None:
        raise IndexError

    def failed(self, error: StoreUnavailable) -> None:
        raise ValueError


async def test_a_fault_in_one_asker_takes_nothing_from_the_others(short_path):
    async with linked(short_path, FakeRedis()) as link:
        askers = [Waiting(), Faulty(), Waiting(), Faulty(), Waiting()]
        for asker in askers:
            link.ask(asker, question(("ECHO", b"word")))
        async with asyncio.timeout(20):
            assert [list((await asker.answers).replies) for asker in askers[::2]] == [[b"word"]] * 3
        assert link.health.connects == 1
        askers = [Waiting(), Faulty(), Waiting(), Faulty(), Waiting()]
        for asker in askers:
            link.ask(asker, question(("ECHO", b"word")))
        link._pipe.end(ConnectionError("gone"))
        async with asyncio.timeout(20):
            for asker in askers[::2]:
                with pytest.raises(StoreUnavailable):
                    await asker.answers


@pytest.mark.parametrize(
    "rubbish",
    [
        b"what is no reply\r\n",
        b"-LOADING it reads its data\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*1\r\n$1\r\n7\r\n",
        b"*5\r\n" + b":7\r\n" * 5,
        b"*5\r\n" + b"*0\r\n" * 5,
    ],
)
async def test_a_state_that_is_none_fails_everybody_and_connects_anew(short_path, rubbish):
    spoiled = []

    def say(command: list[bytes]) -> bytes:
        return rubbish if spoiled and command[0] == b"HMGET" else as_redis(command)

    async with linked(short_path, FakeRedis(say)) as link:
        spoiled.append(True)
        async with asyncio.timeout(20):
            outcomes = await asyncio.gather(*(echoed(link, b"%d" % n) for n in range(5)), return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        spoiled.clear()
        async with asyncio.timeout(20):
            while link.health.doubt:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.005)
        assert list((await echoed(link, b"again")).replies) == [b"again", b"again"]
        assert link.health.connects > 1


async def test_a_redis_that_falls_silent_fails_everybody_within_the_timeout(short_path):
    silent = []

    def say(command: list[bytes]) -> bytes:
        return b"" if silent else as_redis(command)

    async with linked(short_path, FakeRedis(say), timeout_s=0.5) as link:
        silent.append(True)
        began = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*(echoed(link, b"%d" % n) for n in range(50)), return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        assert asyncio.get_running_loop().time() - began < 50 * 0.5 / 2  # One after the other would take 25 seconds.
        with pytest.raises(StoreUnavailable, match="did not answer within 500 ms"):
            link.ask(None, question(("ECHO", b"x")))


async def test_a_redis_that_takes_the_connection_and_never_greets_is_given_up_and_connected_to_anew(short_path):
    greetings = []

    def say(command: list[bytes]) -> bytes:
        if command[0] == b"INFO":
            greetings.append(command)
            return as_redis(command) if len(greetings) > 3 else b""
        return as_redis(command)

    async with linked(short_path, FakeRedis(say), timeout_s=0.5) as link:
        assert link.health.connects == 1
    assert len(greetings) >= 6


class Attempts:
    """Counts the attempts of a link to connect, of which the third waits for ever unless one has served."""

    def __init__(self, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self._locate = 0, link.mastership.locate
        monkeypatch.setattr(link.mastership, "locate", self.locate)
        monkeypatch.setattr(reconnecting, "RECONNECT_S", (0.0, 0.0, 3600.0))

    async def locate(self) -> Master:
        self.count += 1
        return await self._locate()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.count < count:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.001)


@pytest.mark.parametrize("refusal", [b"-LOADING it reads its data", b"-NOPERM no such key", b"-CLUSTERDOWN it is down"])
async def test_a_redis_that_greets_and_refuses_its_state_is_not_connected_to_again_and_again(
    short_path, monkeypatch, refusal
):
    refused = []

    def say(command: list[bytes]) -> bytes:
        return refusal + b"\r\n" if refused and command[0] == b"HMGET" else as_redis(command)

    async with linked(short_path, FakeRedis(say)) as link:
        attempts = Attempts(link, monkeypatch)
        refused.append(True)
        link._pipe.end(ConnectionError("gone"))
        await attempts.until(2)
        async with asyncio.timeout(20):
            while link.health.connects < 3 or link.health.connected:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert (attempts.count, link.health.connects, link.health.connected) == (2, 3, False)


async def test_the_trouble_stands_on_a_new_connection_until_redis_has_returned_its_state(short_path, monkeypatch):
    seen = []
    async with linked(short_path, FakeRedis()) as link:
        begin = link.mastership.begin

        def begun(master: Master, health: Health, leave: Callable[[Exception], None]) -> None:
            seen.append((health.connected, health.doubt))
            begin(master, health, leave)

        monkeypatch.setattr(link.mastership, "begin", begun)
        link._pipe.end(ConnectionError("gone"))
        async with asyncio.timeout(20):
            while not (seen and link.health.looked):  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.001)
        assert link.health.doubt == ""
    ((connected, doubt),) = seen
    assert connected
    assert "gone" in doubt


async def test_a_redis_that_has_gone_is_not_looked_for_again_and_again(short_path, monkeypatch):
    async with linked(short_path, FakeRedis()) as link:
        attempts = Attempts(link, monkeypatch)
        (short_path / "redis.sock").unlink()
        link._pipe.end(ConnectionError("gone"))
        await attempts.until(2)
        await asyncio.sleep(0.05)
        assert (attempts.count, link.health.connected) == (2, False)


async def test_a_redis_that_closes_each_connection_after_it_has_served_is_connected_to_with_pauses(
    short_path, monkeypatch
):
    monkeypatch.setattr(reconnecting, "SERVED_S", 3600.0)
    async with linked(short_path, FakeRedis()) as link:
        attempts = Attempts(link, monkeypatch)
        for count in (1, 2):
            link._pipe.end(ConnectionError("gone"))
            await attempts.until(count)
            async with asyncio.timeout(20):
                while link.health.doubt:  # noqa: ASYNC110 - no event to wait for
                    await asyncio.sleep(0.001)
        link._pipe.end(ConnectionError("gone"))
        await asyncio.sleep(0.05)
        assert attempts.count == 2


def test_the_pauses_of_gates_differ_and_the_first_attempt_has_none():
    assert reconnecting.pause_s(0) == 0.0
    pauses = {reconnecting.pause_s(99) for _ in range(20)}
    assert len(pauses) > 1
    longest = reconnecting.RECONNECT_S[-1]
    assert all(0.7 * longest < pause < 1.3 * longest for pause in pauses)


@pytest.mark.parametrize(
    "refusal",
    [
        b"-LOADING Redis is loading the dataset in memory",
        b"-CLUSTERDOWN The cluster is down",
        b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        b"-NOPERM this user has no permissions to access one of the keys used as arguments",
    ],
)
async def test_a_redis_that_refuses_its_state_is_named_in_the_log_with_its_refusal_once_a_second_at_most(
    short_path, monkeypatch, refusal
):
    refused = []

    def say(command: list[bytes]) -> bytes:
        return refusal + b"\r\n" if refused and command[0] == b"HMGET" else as_redis(command)

    monkeypatch.setattr(reconnecting, "RECONNECT_S", (0.0, 0.001))
    monkeypatch.setattr(notices, "SECOND_S", 0.2)
    with capture_logs() as said:
        async with linked(short_path, FakeRedis(say)) as link, asyncio.timeout(20):
            refused.append(True)
            began = asyncio.get_running_loop().time()
            while link.health.connects < 50 or "redis lost" not in {line["event"] for line in said}:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            took = asyncio.get_running_loop().time() - began
    lines = [line for line in said if line["event"] in {"redis lost", "redis connected"}]
    assert len(lines) <= 2 + took / 0.2
    lost = next(line for line in lines if line["event"] == "redis lost")
    assert lost["redis"] == f"unix://{short_path}/redis.sock"
    assert lost["trouble"] == f"Redis did not return its state: {refusal[1:].decode()}"


async def test_a_redis_that_served_is_connected_to_at_once(short_path, monkeypatch):
    monkeypatch.setattr(reconnecting, "SERVED_S", 0.0)
    async with linked(short_path, FakeRedis()) as link:
        attempts = Attempts(link, monkeypatch)
        for count in range(1, 6):
            link._pipe.end(ConnectionError("gone"))
            await attempts.until(count)
            async with asyncio.timeout(20):
                while link.health.doubt:  # noqa: ASYNC110 - no event to wait for
                    await asyncio.sleep(0.001)


class Recording:
    """An asker whose question waits for replicas too."""

    over = False

    def __init__(self) -> None:
        self.told = asyncio.get_running_loop().create_future()

    def answered(self, answers: Answers) -> None:
        self.told.set_result(answers)

    def failed(self, error: StoreUnavailable) -> None:
        self.told.set_exception(error)


@pytest.mark.parametrize(("reached", "enough"), [(b":1\r\n", False), (b":2\r\n", True), (b"-ERR WAIT\r\n", False)])
async def test_what_too_few_replicas_have_is_not_replicated(short_path, reached, enough):
    fake = FakeRedis(lambda command: reached if command[0] == b"WAIT" else as_redis(command))
    async with linked(short_path, fake, replicas=2) as link:
        asker = Recording()
        link.ask(asker, question(("ECHO", b"x"), to_replicas=True))
        answers = await asker.told
        assert (list(answers.replies), answers.replicated) == ([b"x"], enough)
        assert (await echoed(link, b"y")).replicated
    (batch,) = [each for each in fake.batches if [b"ECHO", b"x"] in each]
    assert [command[0] for command in batch] == [b"HMGET", b"EXISTS", b"ECHO", b"WAIT", b"HMGET"]


@pytest.mark.parametrize(("replicas", "have", "reached"), [(0, 0, True), (1, 0, False), (1, 1, True), (2, 1, False)])
async def test_what_stands_alone_waits_for_as_many_replicas_as_are_asked_for(short_path, replicas, have, reached):
    fake = FakeRedis(lambda command: b":%d\r\n" % have if command[0] == b"WAIT" else as_redis(command))
    async with linked(short_path, fake, replicas=replicas) as link:
        asker = Recording()
        link.ask(asker, question(("ECHO", b"x"), to_replicas=True, self_checking=True))
        answers = await asker.told
    assert (list(answers.replies), answers.replicated) == ([b"x"], reached)
    (batch,) = [each for each in fake.batches if [b"ECHO", b"x"] in each]
    assert [command[0] for command in batch] == ([b"ECHO", b"WAIT"] if replicas else [b"ECHO"])


@pytest.mark.parametrize("place", range(3))
async def test_one_record_among_other_questions_has_all_of_them_wait_for_the_replicas(short_path, place):
    fake = FakeRedis(lambda command: b":0\r\n" if command[0] == b"WAIT" else as_redis(command))
    async with linked(short_path, fake, replicas=1) as link:
        askers = [Recording() for _ in range(4)]
        for at, asker in enumerate(askers):  # The first is sent at once, and the others together.
            link.ask(asker, question(("ECHO", b"x"), to_replicas=at == place + 1))
        replicated = [(await asker.told).replicated for asker in askers]
    assert replicated == [True, False, False, False]


async def test_whoever_asks_is_told_the_state_before_and_the_state_behind(short_path):
    changes = iter(range(100))

    def say(command: list[bytes]) -> bytes:
        return told(NOW._replace(changes=next(changes))) if command[0] == b"HMGET" else as_redis(command)

    async with linked(short_path, FakeRedis(say)) as link:
        answers = await echoed(link, b"word")
        assert answers.after.changes == answers.before.changes + 1
        assert link.health.state == answers.after


async def test_a_lease_that_is_over_is_seen_by_whoever_asks_next(short_path):
    over = []
    fake = FakeRedis(lambda command: b":0\r\n" if over and command[0] == b"EXISTS" else as_redis(command))
    async with linked(short_path, fake) as link:
        over.append(True)
        assert (await echoed(link, b"word")).leased is False
        assert link.health.doubt == "no-lease"


async def test_what_finds_no_room_on_the_way_is_sent_with_the_next_replies(short_path, monkeypatch):
    monkeypatch.setattr(room, "MOST_IN_FLIGHT", 1)
    async with linked(short_path, FakeRedis()) as link:
        answers = await asyncio.wait_for(asyncio.gather(echoed(link, b"first"), echoed(link, b"second")), 20)
    assert [each.replies[0] for each in answers] == [b"first", b"second"]


def silent(command: list[bytes]) -> bytes:
    """Answer like Redis, but never answer SILENCE."""
    return b"" if command == [b"SILENCE"] else as_redis(command)


class Awake(Link):
    """A link that counts how often it checks whether to stay awake."""

    looks = 0

    def _stay_awake(self, *which) -> None:
        self.looks += 1
        super()._stay_awake(*which)


@pytest.mark.parametrize(("awake_s", "cores", "looks"), [(0.0105, {0, 1}, 11), (0.2505, {0, 1}, 251), (0.3, {0}, 1)])
async def test_the_loop_stays_awake_for_one_answer_for_so_long_and_not_where_redis_has_no_core_of_its_own(
    short_path, monkeypatch, awake_s, cores, looks
):
    monkeypatch.setattr(room, "AWAKE_S", awake_s)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: cores)
    async with linked(short_path, FakeRedis(silent), kind=Awake) as link:
        reads = count()
        monkeypatch.setattr(room, "monotonic", lambda: next(reads) / 1000)  # a millisecond from look to look
        link.looks = 0
        asking = asyncio.create_task(link.answers_to(("SILENCE",)))
        async with asyncio.timeout(20):
            while link.looks < looks:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        asking.cancel()
    assert link.looks == looks


async def test_the_loop_stays_awake_no_longer_than_until_the_answer(short_path, monkeypatch):
    monkeypatch.setattr(room, "AWAKE_S", 5)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    async with linked(short_path, FakeRedis(), kind=Awake) as link:
        link.looks = 0
        await echoed(link, b"word")
        await asyncio.sleep(0.01)
        looks = link.looks
        await asyncio.sleep(0.01)
        assert link.looks == looks > 0


async def test_a_server_that_is_set_to_evict_while_it_is_used_is_left_at_the_next_poll(short_path, monkeypatch):
    monkeypatch.setattr(room, "POLL_S", 0.02)
    policy = b"noeviction"

    def say(command: list[bytes]) -> bytes:
        return as_redis(command).replace(b"noeviction", policy)

    async with linked(short_path, FakeRedis(say), timeout_s=2) as link, asyncio.timeout(20):
        policy = b"allkeys-ru"  # As many bytes as before.
        while not link.health.doubt:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)
        assert "allkeys-ru may evict listed numbers" in link.health.doubt
        with pytest.raises(StoreUnavailable):
            await echoed(link, b"word")
        policy = b"noeviction"
        while link.health.doubt:  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)
        await echoed(link, b"word")
