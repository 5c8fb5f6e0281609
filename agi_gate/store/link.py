"""One connection to Redis, shared by all calls: what is asked in the same tick travels in one pipeline.

A pipeline reads the projection's state before its commands and again behind them, so that whoever asked can tell
whether anything moved in between; unless all that is asked compares with the state by itself. The run id of the
server is read once per connection: a server that restarts breaks the connection, so what comes over one connection
comes from one incarnation.

Behind Sentinel the sentinels are asked where the master is whenever it is connected to, and every second whether it
still is. A master that was replaced while it was silent does not know that: until then its records lack the replicas
that are asked for, so that no call is allowed by it.

Who asks (`Asker`) is called back, within the tick in which the replies arrive: a call costs no task and no future.
Up to `MOST_UNDER_WAY` pipelines are on their way at once, so that the gate works on one while Redis works on the
next; what is asked meanwhile waits and makes the next one larger.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import NamedTuple

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from agi_gate.store.asking import Answers, Asker, Question, question
from agi_gate.store.health import Health
from agi_gate.store.pipe import BROKEN, Pipe
from agi_gate.store.wire import Answer, Command, StoreUnavailable, connection_to, exchange, greet, locate, packed
from compliance.facts import State
from compliance.redis_schema import STATE_FIELDS, WHOLE, Keys, read_state
from compliance.redis_url import Master, read_redis_url

AHEAD, AROUND = 2, 3
"""How many replies the commands before the questions have, and those before and behind them."""

MOST_COMMANDS = 2_000
"""Commands in one pipeline: more would make those at its front wait for those at its end."""

MOST_UNDER_WAY = 2

AWAKE_S = 0.0002
"""How long the loop does not sleep after a question that is asked alone, if Redis may have a core of its own."""

RECONNECT_S = (0.0, 0.02, 0.05, 0.1, 0.25)
"""Waits between attempts to connect; the last one goes on for ever."""

BEAT_S = 0.5
"""How often a link asks for the state, whatever calls ask: a server that went away is missed before they need it."""

WAIT_SHARE = 0.125
"""How long replicas are waited for: half a deadline when a silent Redis is given up after four (`backing.PATIENCE`)."""

FOLLOW_S = 1.0
"""How often the sentinels are asked whether they still name the same master."""

LOOKS = 8
"""How often it is looked within the timeout whether Redis has fallen silent."""

log = structlog.get_logger()


class Link:
    """The connection and the questions that wait for it. `ask` may be called once `run` is under way.

    What is asked `to_replicas` waits, within a fraction of `timeout_s`, until so many `replicas` have what it wrote.
    Each connection begins with the commands `opening`; a Redis that refuses them is used all the same.
    """

    def __init__(
        self, url: str, *, timeout_s: float, replicas: int = 0, keys: Keys = WHOLE, opening: Sequence[Command] = ()
    ) -> None:
        self._url = url
        self._opening = opening
        self.keys = keys
        self._before = packed(("HMGET", keys.state, *STATE_FIELDS), ("EXISTS", keys.lease))
        self._behind = packed(("HMGET", keys.state, *STATE_FIELDS))
        self._timeout_s = timeout_s
        self._replicas = replicas
        self._wait = packed(("WAIT", replicas, max(1, int(timeout_s * 1000 * WAIT_SHARE))))
        self._master = self._named = Master(url)
        self._pipe: Pipe | None = None
        self._waiting: deque[tuple[Asker, Question]] = deque()
        self._due = False
        self._quiet = True
        self._awake_s = AWAKE_S if len(os.sched_getaffinity(0)) > 1 else 0.0
        self._fields: Answer = None
        self._state: State | None = None
        self.health = Health()

    def ask(self, asker: Asker, question: Question) -> None:
        """Put a question; `asker` is called back when it is answered, never before this returns.

        It goes at once when calls come one by one, else with what others ask in this tick. Raises StoreUnavailable
        at once while there is no connection: a call does not wait for one.
        """
        pipe = self._pipe
        if not self.health.connected or (pipe and pipe.ended.done()):
            raise StoreUnavailable(self.health.trouble or BROKEN)
        if pipe and self._quiet and not pipe.under_way and not self._waiting:
            self._send(pipe, [(asker, question)])
            self._stay_awake(pipe, monotonic() + self._awake_s)
            return
        self._waiting.append((asker, question))
        if not self._due:
            self._due = True
            self._loop.call_soon(self._flush)

    async def answers_to(self, *commands: Command) -> Answers:
        """Ask, and wait for the answers: for what is no call. Raises StoreUnavailable."""
        waiting = _Unanswered()
        self.ask(waiting, question(*commands))
        return await waiting.future

    async def run(self) -> None:
        """Connect, answer questions, and connect again, until cancelled."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_connected())
            if read_redis_url(self._url):
                tasks.create_task(self._follow())

    async def _follow(self) -> None:
        """Notice when the sentinels name another master than the one that is connected to."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            with suppress(StoreUnavailable):  # As long as none of them answers, the master stays what it was.
                self._named = await locate(self._url, self._timeout_s)
            if self._pipe and self._named != self._master:
                self._pipe.end(StoreUnavailable("the sentinels name another master now"))

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
                self.health.connected, self._pipe = False, None
                self._fail_waiting()
            await asyncio.sleep(RECONNECT_S[min(attempt, len(RECONNECT_S) - 1)])
            attempt += 1

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AbstractConnection]:
        master = await self._locate()
        connection = connection_to(master.url, self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                server = await self._greet(connection, master)
                await exchange(connection, self._opening)
            self._master = self._named = master
            self.health = Health(True, "", server, connects=self.health.connects + 1)
            self._fields = self._state = None
            log.info("redis connected", server=server)
            yield connection
        finally:
            await connection.disconnect(nowait=True)

    async def _locate(self) -> Master:
        """Tell where it is to be connected to. Raises StoreUnavailable."""
        return await locate(self._url, self._timeout_s)

    async def _greet(self, connection: AbstractConnection, master: Master) -> str:
        """Open the connection, and name the server for the time of this reign. Raises StoreUnavailable."""
        return master.incarnation(await greet(connection))

    async def _serve(self, connection: AbstractConnection) -> None:
        """Answer questions until the connection is lost, or Redis falls silent. Raises what ended it."""
        pipe = self._pipe = Pipe(connection)
        beat_due = 0.0
        while not pipe.ended.done():
            if monotonic() >= beat_due:
                self._send(pipe, [])
                beat_due = monotonic() + BEAT_S
            await asyncio.wait({pipe.ended}, timeout=self._timeout_s / LOOKS)
            if pipe.silent_s > self._timeout_s:
                pipe.end(TimeoutError())
        raise pipe.ended.result()

    def _flush(self) -> None:
        """Send what was asked in this tick, unless enough is under way: then the next replies send it."""
        self._due = False
        pipe = self._pipe
        while pipe and not pipe.ended.done() and self._waiting and pipe.under_way < MOST_UNDER_WAY:
            if asked := self._take():
                self._send(pipe, asked)

    def _stay_awake(self, pipe: Pipe, until: float) -> None:
        """Keep the loop from sleeping while Redis works on one question: to be woken would take as long."""
        if pipe.under_way and monotonic() < until:
            self._loop.call_soon(self._stay_awake, pipe, until)

    def _take(self) -> list[tuple[Asker, Question]]:
        """Take what waits, up to `MOST_COMMANDS`, in the order it was asked."""
        taken: list[tuple[Asker, Question]] = []
        room = MOST_COMMANDS
        while self._waiting and room > 0:
            asking = self._waiting.popleft()
            if not asking[0].over:  # Otherwise it was given up meanwhile: its call is already blocked.
                room -= asking[1].replies
                taken.append(asking)
        return taken

    def _send(self, pipe: Pipe, asked: list[tuple[Asker, Question]]) -> None:
        self._quiet = len(asked) < 2
        watched, to_replicas = not asked, False
        commands, replies = [], 0
        for _, put in asked:
            commands.append(put.commands)
            replies += put.replies
            watched = watched or not put.alone
            to_replicas = to_replicas or put.to_replicas
        waited = to_replicas and self._replicas > 0
        if watched or waited:
            commands = [self._before] * watched + commands + [self._wait] * waited + [self._behind] * watched
            replies += AROUND * watched + waited
        pipe.send(Sent(self, asked, watched, waited), commands, replies)

    def share_out(self, sent: "Sent", replies: list[Answer]) -> None:
        """Give everybody of one pipeline their part of its replies, and send what was asked meanwhile."""
        before = behind = None
        if sent.watched:
            try:
                before, behind = self._read(replies[0]), self._read(replies[-1])
            except StoreUnavailable as error:
                _fail(sent.asked, error)
                if self._pipe:
                    self._pipe.end(error)
                return
            self.health.state, self.health.leased = behind, replies[1] == 1
        at, server, leased = AHEAD * sent.watched, self.health.server, self.health.leased
        replicated = not sent.waited or _reached(replies[-1 - sent.watched], self._replicas)
        for asker, put in sent.asked:
            end = at + put.replies
            asker.answered(Answers(server, before, behind, leased, replies[at:end], replicated))
            at = end
        if not self._due and self._waiting:
            self._flush()

    def _read(self, reply: Answer) -> State | None:
        """Read the state out of a reply. Raises StoreUnavailable when the server would not give it.

        A loading, failing-over or read-only server says so in an error: it is asked again over a new connection.
        """
        if reply == self._fields and reply is not None:
            return self._state
        if not isinstance(reply, list):
            raise StoreUnavailable(f"Redis would not give its state: {reply!r}")
        self._fields, self._state = reply, read_state(reply)
        return self._state

    def _lost(self, error: Exception) -> None:
        late = f"Redis did not answer within {self._timeout_s * 1000:.0f} ms"
        trouble = late if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        if self.health.connected or trouble != self.health.trouble:
            log.warning("redis lost", trouble=trouble)
        self.health = Health(False, trouble, connects=self.health.connects)

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        _fail(waiting, StoreUnavailable(self.health.trouble))


class Sent(NamedTuple):
    """The questions of one pipeline: whether the state is read around them, and whether replicas are waited for."""

    link: Link
    asked: list[tuple[Asker, Question]]
    watched: bool
    waited: bool

    def answered(self, replies: list[Answer]) -> None:
        """Share the replies out."""
        self.link.share_out(self, replies)

    def failed(self, error: StoreUnavailable) -> None:
        """Tell all of them."""
        _fail(self.asked, error)


def _reached(reply: Answer, replicas: int) -> bool:
    """Tell from WAIT's reply whether enough replicas have acknowledged."""
    return isinstance(reply, int) and reply >= replicas


def _fail(asked: Iterable[tuple[Asker, Question]], error: StoreUnavailable) -> None:
    for asker, _ in asked:
        asker.failed(error)


class _Unanswered:
    """An asker that somebody awaits."""

    over = False

    def __init__(self) -> None:
        self.future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()

    def answered(self, answers: Answers) -> None:
        if not self.future.done():
            self.future.set_result(answers)

    def failed(self, error: StoreUnavailable) -> None:
        if not self.future.done():
            self.future.set_exception(error)
