"""One connection to Redis, shared by all calls. The questions of one tick of the event loop are sent in one pipeline.

A pipeline reads the projection's state before and after its commands, so that a caller sees whether anything changed
in between. If all its questions are self-checking, it does not read the state. The link reads the server's run id once
per connection. A restart of the server breaks the connection, so all replies on one connection come from one
incarnation.

Behind Sentinel the link queries the sentinels for the master before it connects, and every second after that. A master
that was replaced may not know it yet. Until the link leaves this master, not all of its replicas acknowledge its
records, so the gate allows no call (`followers.py`).

The link calls an `AnswerReceiver` in the tick in which the replies arrive, so a call needs no task and no future. At
most `MOST_IN_FLIGHT` pipelines are unanswered at a time: the gate works on one while Redis works on the other. Further
questions wait in a queue, so the next pipeline is larger.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import NamedTuple

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from agi_gate.store.clock import CLOCK, ClockCheck
from agi_gate.store.followers import Followers
from agi_gate.store.health import Health
from agi_gate.store.pipe import BROKEN, Pipe
from agi_gate.store.questions import AnswerReceiver, Answers, Question, question
from agi_gate.store.wire import CONNECTOR, Answer, Command, StoreUnavailable, exchange, handshake, locate, packed
from compliance.facts import State
from compliance.redis_schema import STATE_FIELDS, WHOLE, Keys, read_state
from compliance.redis_url import Master, read_redis_url

REPLIES_BEFORE, REPLIES_AROUND = 2, 3
"""Numbers of replies to the link's own commands: the commands before the questions, and those before and after them."""

MOST_COMMANDS = 2_000
"""Maximum number of commands in one pipeline. In a longer one the first replies would wait for the last ones."""

MOST_IN_FLIGHT = 2

AWAKE_S = 0.0002
"""Seconds for which the loop polls for the reply to a single question instead of sleeping, with two cores or more."""

RECONNECT_S = (0.0, 0.02, 0.05, 0.1, 0.25)
"""Seconds to wait before each attempt to reconnect. The last value repeats."""

POLL_S = 0.5
"""Seconds between two reads of the state.

The link reads it even when there are no calls, so that it notices a lost server before the next call. It reads the time
of Redis together with it.
"""

WAIT_SHARE = 0.125
"""Limit of the wait for replicas, as a share of `timeout_s`. `timeout_s` is four deadlines (`backend.PATIENCE`), so the
limit is half a deadline.
"""

FOLLOW_S = 1.0
"""Seconds between two queries of the sentinels for the current master."""

FOLLOW_LEAST_S = 0.1
"""Minimum time in seconds between two such queries, however many records lack an acknowledgement."""

CHECKS_PER_TIMEOUT = 8
"""Number of times within `timeout_s` that the link checks whether Redis is silent."""

log = structlog.get_logger()


class Link:
    """The connection, and the queue of questions for it. `ask` may be called once `run` has started.

    A question that is sent `to_replicas` waits until at least `replicas` replicas have its writes, at most `WAIT_SHARE`
    of `timeout_s`. The commands `opening` are sent on each new connection. If Redis refuses them, the link uses the
    connection anyway.
    """

    def __init__(
        self, url: str, *, timeout_s: float, replicas: int = 0, keys: Keys = WHOLE, opening: Sequence[Command] = ()
    ) -> None:
        self._url = url
        self._opening = opening
        self.keys = keys
        # Packed once, because they are the same for every pipeline.
        self._before = packed(("HMGET", keys.state, *STATE_FIELDS), ("EXISTS", keys.lease))
        self._after = packed(("HMGET", keys.state, *STATE_FIELDS))
        self._timeout_s = timeout_s
        self._followers = Followers(replicas)
        self._missed = asyncio.Event()
        self._poll: list[tuple[AnswerReceiver, Question]] = [(ClockCheck(lambda: self.health), CLOCK)]
        if replicas:
            self._poll.append((_Counter(self._count), question(("INFO", "replication"))))
        self._master = self._announced = Master(url)
        self._pipe: Pipe | None = None
        self._queue: deque[tuple[AnswerReceiver, Question]] = deque()
        self._flush_scheduled = False
        self._quiet = True
        # With a single core the gate must not poll, because Redis could not work meanwhile.
        self._awake_s = AWAKE_S if len(os.sched_getaffinity(0)) > 1 else 0.0
        self._fields: Answer = None
        self._state: State | None = None
        self.health = Health()

    def ask(self, receiver: AnswerReceiver, question: Question) -> None:
        """Send a question, at once or with the others of this tick. `receiver` is called after `ask` has returned.

        Raises StoreUnavailable while there is no connection: a call must not wait for one.
        """
        pipe = self._pipe
        if not self.health.connected or (pipe and pipe.ended.done()):
            raise StoreUnavailable(self.health.trouble or BROKEN)
        # If calls are few, a batch would only delay this question to the end of the tick, so send it now. If the last
        # pipeline had several questions, calls are many, and one write per tick costs less than one write per question.
        if pipe and self._quiet and not pipe.in_flight and not self._queue:
            self._send(pipe, [(receiver, question)])
            self._stay_awake(pipe, monotonic() + self._awake_s)
            return
        self._queue.append((receiver, question))
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    async def answers_to(self, *commands: Command, to_replicas: bool = False) -> Answers:
        """Send commands that belong to no call, and wait for the answers. Raises StoreUnavailable."""
        waiter = _Waiter()
        self.ask(waiter, question(*commands, to_replicas=to_replicas))
        return await waiter.future

    async def run(self) -> None:
        """Connect, serve questions, and reconnect, until cancelled."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_connected())
            if self._can_be_replaced():
                tasks.create_task(self._follow())

    def _can_be_replaced(self) -> bool:
        """Return whether another server can become the master of this link."""
        return read_redis_url(self._url) is not None

    async def _follow(self) -> None:
        """Leave the master when the sentinels name another one, and confirm it when they still name it."""
        while True:
            self._missed.clear()
            began = monotonic()
            # While no sentinel answers, or a failover is in progress, the master remains the same, unconfirmed.
            with suppress(StoreUnavailable):
                self._announced = await locate(self._url, self._timeout_s)
                self.confirm(began)
            if self._pipe and self._announced != self._master:
                self._pipe.end(StoreUnavailable("the sentinels name another master now"))
            await asyncio.sleep(FOLLOW_LEAST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(FOLLOW_S):
                    await self._missed.wait()

    def confirm(self, began: float) -> None:
        """Confirm the master, by a question about it that began at `began` (`time.monotonic`)."""
        if self._announced == self._master:
            self._followers.confirm(began)
        self.health.confirmed = self._followers.needed is not None

    def _count(self, info: Answer) -> None:
        """Count the replicas, from the reply to INFO replication."""
        self._followers.counted(info)
        if self._followers.needed is None:
            self.miss()

    def miss(self) -> None:
        """Ask for the current master soon: a record lacks an acknowledgement, or the master is not confirmed yet."""
        self._missed.set()

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            try:
                async with self._connected() as connection:
                    attempt = 0
                    await self._serve(connection)
            except (RedisError, OSError, TimeoutError, StoreUnavailable) as error:
                self._on_lost(error)
            finally:
                self.health.connected, self._pipe = False, None
                self._fail_queue()
            await asyncio.sleep(RECONNECT_S[min(attempt, len(RECONNECT_S) - 1)])
            attempt += 1

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AbstractConnection]:
        master = await self._locate()
        connection = CONNECTOR.connection(master.url, self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                server = await self._handshake(connection, master)
                await exchange(connection, self._opening)
            self._master = self._announced = master
            self._followers.forget()
            self.health = Health(True, "", server, connects=self.health.connects + 1)
            if not self._followers.least or not self._can_be_replaced():
                self._followers.needed = self._followers.least
            self.health.confirmed = self._followers.needed is not None
            self._fields = self._state = None
            log.info("redis connected", server=server)
            yield connection
        finally:
            await connection.disconnect(nowait=True)

    async def _locate(self) -> Master:
        """Return the master to connect to. Raises StoreUnavailable."""
        return await locate(self._url, self._timeout_s)

    async def _handshake(self, connection: AbstractConnection, master: Master) -> str:
        """Open the connection and return the incarnation of the server. Raises StoreUnavailable."""
        return master.incarnation(await handshake(connection))

    async def _serve(self, connection: AbstractConnection) -> None:
        """Serve questions until the connection is lost, or Redis becomes silent. Raises the cause."""
        pipe = self._pipe = Pipe(connection)
        poll_due = 0.0
        while not pipe.ended.done():
            if monotonic() >= poll_due:
                self._send(pipe, self._poll)
                poll_due = monotonic() + POLL_S
            # The link has one timer, because a timer for each pipeline would be set and cancelled for every call.
            await asyncio.wait({pipe.ended}, timeout=self._timeout_s / CHECKS_PER_TIMEOUT)
            if pipe.silent_s > self._timeout_s:
                pipe.end(TimeoutError())
        raise pipe.ended.result()

    def _flush(self) -> None:
        """Send the queue, unless enough pipelines are in flight. `distribute` then sends it after the next replies."""
        self._flush_scheduled = False
        pipe = self._pipe
        while pipe and not pipe.ended.done() and self._queue and pipe.in_flight < MOST_IN_FLIGHT:
            if asked := self._take():
                self._send(pipe, asked)

    def _stay_awake(self, pipe: Pipe, until: float) -> None:
        """Keep the loop polling until the reply comes, or until the time `until`."""
        # A ready callback makes the loop poll without sleeping. A sleeping loop wakes some 20 µs late. Polling makes a
        # single call 12 % faster (python -m bench.alternatives; docs/decisions/002).
        if pipe.in_flight and monotonic() < until:
            self._loop.call_soon(self._stay_awake, pipe, until)

    def _take(self) -> list[tuple[AnswerReceiver, Question]]:
        """Take questions from the queue, first in, first out, up to `MOST_COMMANDS` commands."""
        taken: list[tuple[AnswerReceiver, Question]] = []
        room = MOST_COMMANDS
        while self._queue and room > 0:
            asked = self._queue.popleft()
            if not asked[0].over:  # The deadline has already blocked this call, so nothing reads the answers.
                room -= asked[1].replies
                taken.append(asked)
        return taken

    def _send(self, pipe: Pipe, asked: list[tuple[AnswerReceiver, Question]]) -> None:
        self._quiet = len(asked) < 2 or asked is self._poll
        watched, to_replicas = False, False
        commands, replies = [], 0
        for _, put in asked:
            commands.append(put.commands)
            replies += put.replies
            watched = watched or not put.self_checking
            to_replicas = to_replicas or put.to_replicas
        waited = to_replicas and self._followers.least > 0
        if watched or waited:
            # WAIT comes before the second read of the state, so that this read also sees changes during the wait.
            wait = [self._wait(self._followers.needed or 0)] * waited
            commands = [self._before] * watched + commands + wait + [self._after] * watched
            replies += REPLIES_AROUND * watched + waited
        pipe.send(Sent(self, asked, watched, waited), commands, replies)

    def _wait(self, replicas: int) -> bytes:
        """Return the command that waits until `replicas` replicas have all writes of this connection."""
        # The timeout must not be 0, because WAIT then blocks for ever (Redis documentation, WAIT).
        return packed(("WAIT", replicas, max(1, int(self._timeout_s * 1000 * WAIT_SHARE))))

    def distribute(self, sent: "Sent", replies: list[Answer]) -> None:
        """Pass the replies of one pipeline to the receivers of its questions, then send the queue."""
        before = after = None
        if sent.watched:
            try:
                before, after = self._read(replies[0]), self._read(replies[-1])
            except StoreUnavailable as error:
                _fail(sent.asked, error)
                if self._pipe:
                    self._pipe.end(error)
                return
            self.health.state, self.health.leased = after, replies[1] == 1
        at, server, leased = REPLIES_BEFORE * sent.watched, self.health.server, self.health.leased
        replicated = not sent.waited or self._reached(replies[-1 - sent.watched])
        for receiver, put in sent.asked:
            end = at + put.replies
            receiver.answered(Answers(server, before, after, leased, replies[at:end], replicated))
            at = end
        if not self._flush_scheduled and self._queue:
            self._flush()

    def _reached(self, reply: Answer) -> bool:
        """Return whether enough replicas have acknowledged. WAIT replies with their number, even after its timeout."""
        needed = self._followers.needed
        if needed is not None and isinstance(reply, int) and reply >= needed:
            return True
        self.miss()
        return False

    def _read(self, reply: Answer) -> State | None:
        """Parse the state from a reply to HMGET. Raises StoreUnavailable for an error reply.

        A server that loads its data or takes part in a failover replies with an error. The link then reconnects, which
        finds the master again and repeats the handshake.
        """
        # The state seldom changes, so comparing the raw reply is cheaper than parsing it twice for each pipeline.
        if reply == self._fields and reply is not None:
            return self._state
        if not isinstance(reply, list):
            raise StoreUnavailable(f"Redis did not return its state: {reply!r}")
        self._fields, self._state = reply, read_state(reply)
        return self._state

    def _on_lost(self, error: Exception) -> None:
        late = f"Redis did not answer within {self._timeout_s * 1000:.0f} ms"
        trouble = late if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        if self.health.connected or trouble != self.health.trouble:
            log.warning("redis lost", trouble=trouble)
        self.health = Health(False, trouble, connects=self.health.connects)

    def _fail_queue(self) -> None:
        queue, self._queue = self._queue, deque()
        _fail(queue, StoreUnavailable(self.health.trouble))


class Sent(NamedTuple):
    """The questions of one pipeline.

    `watched` says whether the state is read before and after them, `waited` whether WAIT for replicas follows them.
    """

    link: Link
    asked: list[tuple[AnswerReceiver, Question]]
    watched: bool
    waited: bool

    def answered(self, replies: list[Answer]) -> None:
        """Pass the replies to the receivers of the questions."""
        self.link.distribute(self, replies)

    def failed(self, error: StoreUnavailable) -> None:
        """Fail every question."""
        _fail(self.asked, error)


def _fail(asked: Iterable[tuple[AnswerReceiver, Question]], error: StoreUnavailable) -> None:
    for receiver, _ in asked:
        receiver.failed(error)


class _Counter:
    """A receiver that passes on the reply to one command. Its failure means nothing: the next poll asks again."""

    over = False

    def __init__(self, take: Callable[[Answer], None]) -> None:
        self._take = take

    def answered(self, answers: Answers) -> None:
        self._take(answers.replies[0])

    def failed(self, _: StoreUnavailable) -> None:
        """Do nothing."""


class _Waiter:
    """A receiver whose `future` a coroutine can await."""

    over = False

    def __init__(self) -> None:
        self.future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()

    def answered(self, answers: Answers) -> None:
        if not self.future.done():
            self.future.set_result(answers)

    def failed(self, error: StoreUnavailable) -> None:
        if not self.future.done():
            self.future.set_exception(error)
