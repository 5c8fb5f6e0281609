"""The link over a real socket, to a Redis of ten lines: one tick is one pipeline, and each asker gets its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from agi_gate import link as room
from agi_gate.asking import Answers, question
from agi_gate.link import Link
from agi_gate.wire import StoreUnavailable
from compliance.policy import State
from compliance.redis_schema import state_values

INFO = b"run_id:run-1\r\nmaxmemory_policy:noeviction\r\nrole:master\r\n"
FIELDS = [value.encode() for value in state_values(State(7, "run-1", ("internal",), 3, "0" * 16)).values()]
STATE = b"*%d\r\n" % len(FIELDS) + b"".join(b"$%d\r\n%s\r\n" % (len(field), field) for field in FIELDS)
Reply = Callable[[list[bytes]], bytes]


def as_redis(command: list[bytes]) -> bytes:
    match command:
        case [b"INFO", _]:
            return b"$%d\r\n%s\r\n" % (len(INFO), INFO)
        case [b"HMGET", *_]:
            return STATE
        case [b"EXISTS", _]:
            return b":1\r\n"
        case [b"ECHO", word]:
            return b"$%d\r\n%s\r\n" % (len(word), word)
        case _:
            return b"+OK\r\n"


class FakeRedis:
    """Answers commands; keeps how many it read at once. `say` gives the reply, `chunk` how many bytes go at a time."""

    def __init__(self, say: Reply = as_redis, chunk: int = 100_000) -> None:
        self.say, self.chunk, self.batches = say, chunk, list[list[list[bytes]]]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer = b""
        while data := await reader.read(1_000_000):
            commands, buffer = parsed(buffer + data)
            self.batches.append(commands)
            said = b"".join(map(self.say, commands))
            for at in range(0, len(said), self.chunk):
                writer.write(said[at : at + self.chunk])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()


def parsed(data: bytes) -> tuple[list[list[bytes]], bytes]:
    commands = []
    while data:
        head, _, rest = data.partition(b"\r\n")
        words = []
        for _ in range(int(head[1:])):
            size, _, rest = rest.partition(b"\r\n")
            words.append(rest[: int(size[1:])])
            rest = rest[int(size[1:]) + 2 :]
        commands.append(words)
        data = rest
    return commands, b""


@asynccontextmanager
async def linked(directory: Path, fake: FakeRedis, replicas: int = 0, kind: type[Link] = Link) -> AsyncIterator[Link]:
    server = await asyncio.start_unix_server(fake.serve, directory / "redis.sock")
    link = kind(f"unix://{directory}/redis.sock", timeout_s=0.5, replicas=replicas)
    running = asyncio.create_task(link.run())
    async with asyncio.timeout(5):
        while link.health.doubt:  # noqa: ASYNC110 - it tells nobody
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
    assert {(each.server, each.leased, each.behind.changes) for each in answers} == {("run-1", True, 3)}


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
            link.ask(waiting, question(("ECHO", b"word"), alone=alone))
            answers = await waiting.answers
            assert (answers.server, answers.replies) == ("run-1", [b"word"])
            assert (answers.behind is None) is alone
        said = [command[0] for batch in fake.batches[before:] for command in batch]
    assert said[:5] == [b"ECHO", b"HMGET", b"EXISTS", b"ECHO", b"HMGET"]


async def test_what_stands_alone_travels_with_the_state_where_another_needs_it(short_path):
    async with linked(short_path, FakeRedis()) as link:
        first, alone, other = Waiting(), Waiting(), Waiting()
        for waiting, stands_alone in ((first, True), (alone, True), (other, False)):
            link.ask(waiting, question(("ECHO", b"word"), alone=stands_alone))
        answers = [await waiting.answers for waiting in (first, alone, other)]
    assert [each.replies for each in answers] == [[b"word"]] * 3
    assert [each.before is None for each in answers] == [True, False, False]


async def test_the_state_is_looked_at_though_all_that_is_asked_stands_alone(short_path, monkeypatch):
    monkeypatch.setattr(room, "BEAT_S", 0.02)
    fake = FakeRedis()
    async with linked(short_path, fake) as link:
        until = asyncio.get_running_loop().time() + 0.5
        while asyncio.get_running_loop().time() < until:
            waiting = Waiting()
            link.ask(waiting, question(("ECHO", b"word"), alone=True))
            await waiting.answers
    looks = sum(command[0] == b"EXISTS" for batch in fake.batches for command in batch)
    assert looks >= 5


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
                await asyncio.wait_for(waiting.answers, 2)


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
        first = asyncio.create_task(echoed(link, b"first"))  # It goes at once, and the others wait.
        await asyncio.sleep(0)
        link.ask(GivenUp(), question(("ECHO", b"late")))
        await echoed(link, b"in time")
        await first
    assert not [batch for batch in fake.batches if [b"ECHO", b"late"] in batch]


@pytest.mark.parametrize("rubbish", [b"what is no reply\r\n", b"-LOADING it reads its data\r\n", b"*-1\r\n"])
async def test_a_state_that_is_none_fails_everybody_and_connects_anew(short_path, rubbish):
    spoiled = []

    def say(command: list[bytes]) -> bytes:
        return rubbish if spoiled and command[0] == b"HMGET" else as_redis(command)

    async with linked(short_path, FakeRedis(say)) as link:
        spoiled.append(True)
        outcomes = await asyncio.gather(*(echoed(link, b"%d" % n) for n in range(5)), return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        spoiled.clear()
        async with asyncio.timeout(5):
            while link.health.doubt:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.005)
        assert list((await echoed(link, b"again")).replies) == [b"again", b"again"]


async def test_a_redis_that_falls_silent_fails_everybody_within_the_timeout(short_path):
    silent = []

    def say(command: list[bytes]) -> bytes:
        return b"" if silent else as_redis(command)

    async with linked(short_path, FakeRedis(say)) as link:
        silent.append(True)
        began = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*(echoed(link, b"%d" % n) for n in range(5)), return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        assert asyncio.get_running_loop().time() - began < 3
        with pytest.raises(StoreUnavailable, match="did not answer within 500 ms"):
            link.ask(None, question(("ECHO", b"x")))


class Recording:
    """An asker whose question is written to replicas too."""

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


def silent(command: list[bytes]) -> bytes:
    """Answer like Redis, but to SILENCE never."""
    return b"" if command == [b"SILENCE"] else as_redis(command)


class Awake(Link):
    """A link that notes when it looks whether to stay awake."""

    looks: list[float]

    def _stay_awake(self, *which) -> None:
        self.looks.append(monotonic())
        super()._stay_awake(*which)


@pytest.mark.parametrize(
    ("awake_s", "cores", "least", "most"), [(0.0002, {0, 1}, 0, 0.1), (0.3, {0, 1}, 0.2, 0.4), (0.3, {0}, 0, 0)]
)
async def test_the_loop_stays_awake_for_one_answer_for_so_long_and_not_where_redis_has_no_core_of_its_own(
    short_path, monkeypatch, awake_s, cores, least, most
):
    monkeypatch.setattr(room, "AWAKE_S", awake_s)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: cores)
    async with linked(short_path, FakeRedis(silent), kind=Awake) as link:
        link.looks = []
        asking = asyncio.create_task(link.answers_to(("SILENCE",)))
        await asyncio.sleep(0.45)
        asking.cancel()
    assert least <= link.looks[-1] - link.looks[0] <= most
