"""One connection to Redis, shared by all calls: what is asked in the same tick travels in one pipeline.

Each pipeline reads the projection's state before its commands and again behind them, so that whoever asked can tell
whether anything moved in between. The run id of the server is read once per connection: a server that restarts
breaks the connection, so what comes over one connection comes from one incarnation.

Behind Sentinel the sentinels are asked where the master is whenever it is connected to, and every second whether it
still is. A master that was replaced while it was silent does not know that: until then its records lack the replicas
that are asked for, so that no call is allowed by it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from agi_gate.wire import Answer, Command, StoreUnavailable, connection_to, exchange, greet, locate
from compliance.policy import State, doubt
from compliance.redis_schema import LEASE, STATE, STATE_FIELDS, read_state
from compliance.redis_url import Master, read_redis_url

BEFORE: tuple[Command, ...] = (("HMGET", STATE, *STATE_FIELDS), ("EXISTS", LEASE))
BEHIND: tuple[Command, ...] = (("HMGET", STATE, *STATE_FIELDS),)

MOST_COMMANDS = 2_000
"""Commands in one pipeline: more would make those at its front wait for those at its end."""

RECONNECT_S = (0.0, 0.02, 0.05, 0.1, 0.25)
"""Waits between attempts to connect; the last one goes on for ever."""

BEAT_S = 0.5
"""How often an idle link asks for the state: a server that went away is missed before the next call needs it."""

WAIT_SHARE = 0.125
"""How long replicas are waited for: half a deadline when a silent Redis is given up after four (`server.PATIENCE`)."""

FOLLOW_S = 1.0
"""How often the sentinels are asked whether they still name the same master."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back for one question, with the state before and behind it and the server that answered.

    `replicated` tells whether as many replicas as are asked for have all that was written up to then.
    """

    server: str
    before: State | None
    behind: State | None
    leased: bool
    replies: list[Answer]
    replicated: bool


@dataclass(slots=True)
class _Question:
    commands: Sequence[Command]
    answered: asyncio.Future[Answers]
    to_replicas: bool


@dataclass(slots=True)
class Health:
    """What the link knows of its Redis, for metrics and readiness."""

    connected: bool = False
    trouble: str = "not connected yet"
    server: str = ""
    state: State | None = None
    leased: bool = False
    connects: int = 0

    @property
    def doubt(self) -> str:
        """Why no call can be allowed now; empty when calls can."""
        return self.trouble or doubt(self.state, self.server, leased=self.leased)


class Link:
    """The connection and the questions that wait for it. `ask` may be called once `run` is under way.

    What is asked `to_replicas` waits, within a fraction of `timeout_s`, until so many replicas have what it wrote.
    """

    def __init__(self, url: str, *, timeout_s: float, replicas: int = 0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._replicas = replicas
        self._wait: Command = ("WAIT", replicas, max(1, int(timeout_s * 1000 * WAIT_SHARE)))
        self._master = self._named = Master(url)
        self._waiting: deque[_Question] = deque()
        self._something = asyncio.Event()
        self.health = Health()

    def ask(self, commands: Sequence[Command], *, to_replicas: bool = False) -> asyncio.Future[Answers]:
        """Put a question; its future ends in Answers or StoreUnavailable. Cancelling it is safe.

        Raises StoreUnavailable at once while there is no connection: a call does not wait for one.
        """
        if not self.health.connected:
            raise StoreUnavailable(self.health.trouble)
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Question(commands, answered, to_replicas))
        self._something.set()
        return answered

    async def run(self) -> None:
        """Connect, answer questions, and connect again, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._stay_connected())
            if read_redis_url(self._url):
                tasks.create_task(self._follow())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self._something.set()

    async def _follow(self) -> None:
        """Notice when the sentinels name another master than the one that is connected to."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            with suppress(StoreUnavailable):  # As long as none of them answers, the master stays what it was.
                self._named = await locate(self._url, self._timeout_s)
                self._something.set()

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            try:
                async with self._connected() as connection:
                    attempt = 0
                    await self._serve(connection)
            except (RedisError, OSError, TimeoutError, StoreUnavailable) as error:
                self._lost(error)
            finally:
                self.health.connected = False
                self._fail_waiting(StoreUnavailable(self.health.trouble))
            await asyncio.sleep(RECONNECT_S[min(attempt, len(RECONNECT_S) - 1)])
            attempt += 1

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AbstractConnection]:
        master = await locate(self._url, self._timeout_s)
        connection = connection_to(master.url, self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                server = master.incarnation(await greet(connection))
            self._master = self._named = master
            self.health = Health(True, "", server, connects=self.health.connects + 1)
            log.info("redis connected", server=server)
            yield connection
        finally:
            await connection.disconnect(nowait=True)

    async def _serve(self, connection: AbstractConnection) -> None:
        while True:
            await self._something.wait()
            if self._named != self._master:
                raise StoreUnavailable("the sentinels name another master now")
            questions = self._take()
            try:
                await self._pipeline(connection, questions)
            except BaseException:
                trouble = StoreUnavailable("the connection to Redis broke while it was asked")
                for question in questions:
                    _fail(question, trouble)
                raise

    def _take(self) -> list[_Question]:
        """Take what waits, up to `MOST_COMMANDS`, in the order it was asked."""
        taken: list[_Question] = []
        room = MOST_COMMANDS
        while self._waiting and room > 0:
            question = self._waiting.popleft()
            if not question.answered.done():  # Given up meanwhile: its call is already blocked.
                room -= len(question.commands) + 1
                taken.append(question)
        if not self._waiting:
            self._something.clear()
        return taken

    async def _pipeline(self, connection: AbstractConnection, questions: list[_Question]) -> None:
        asked = [command for question in questions for command in question.commands]
        waits = self._replicas and any(question.to_replicas for question in questions)
        commands = [*BEFORE, *asked, *([self._wait] if waits else ()), *BEHIND]
        async with asyncio.timeout(self._timeout_s):
            replies = await exchange(connection, commands)
        before, leased, behind = _state(replies[0]), replies[1] == 1, _state(replies[-1])
        self.health.state, self.health.leased = behind, leased
        replicated = not waits or _reached(replies[-2], self._replicas)
        at = len(BEFORE)
        for question in questions:
            end = at + len(question.commands)
            if not question.answered.done():
                answers = Answers(self.health.server, before, behind, leased, replies[at:end], replicated)
                question.answered.set_result(answers)
            at = end

    def _lost(self, error: Exception) -> None:
        late = f"Redis did not answer within {self._timeout_s * 1000:.0f} ms"
        trouble = late if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        if self.health.connected or trouble != self.health.trouble:
            log.warning("redis lost", trouble=trouble)
        self.health = Health(False, trouble, connects=self.health.connects)

    def _fail_waiting(self, error: StoreUnavailable) -> None:
        waiting, self._waiting = self._waiting, deque()
        self._something.clear()
        for question in waiting:
            _fail(question, error)


def _fail(question: _Question, error: StoreUnavailable) -> None:
    if not question.answered.done():
        question.answered.set_exception(error)


def _reached(reply: Answer, replicas: int) -> bool:
    """Tell from WAIT's reply whether enough replicas have acknowledged."""
    return isinstance(reply, int) and reply >= replicas


def _state(reply: Answer) -> State | None:
    """Read the state out of a reply. Raises StoreUnavailable when the server would not give it.

    A loading, failing-over or read-only server says so in an error: it is asked again over a new connection.
    """
    if isinstance(reply, list):
        return read_state(reply)
    raise StoreUnavailable(f"Redis would not give its state: {reply!r}")
