"""One connection to Redis, shared by all calls. The questions of one tick of the event loop are sent in one pipeline.

A pipeline reads the projection's state before and after its commands, so that a caller sees whether anything changed
in between. If all its questions are self-checking, it does not read the state. The link reads the server's run id once
per connection. A restart of the server breaks the connection, so all replies on one connection come from one
incarnation.

`mastership.py` says to which server the link connects, `opening.py` opens the connection, and `pipeline.py` describes
one pipeline.

The link calls an `AnswerReceiver` in the tick in which the replies arrive, so a call needs no task and no future. At
most `MOST_IN_FLIGHT` pipelines are unanswered at a time: the gate works on one while Redis works on the other. Further
questions wait in a queue, so the next pipeline is larger.
"""

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from time import monotonic

import structlog
from redis.exceptions import RedisError

from agi_gate.store.health import Health
from agi_gate.store.link_log import LinkLog
from agi_gate.store.mastership import Mastership, mastership_of
from agi_gate.store.notices import Notices
from agi_gate.store.opening import Opened, open_pipe
from agi_gate.store.pipe import BROKEN, Pipe
from agi_gate.store.pipeline import REPLIES_AROUND, REPLIES_BEFORE, Asked, Sent, StateReader, fail, take, wait_for
from agi_gate.store.polling import POLL_S, poll_of
from agi_gate.store.questions import AnswerReceiver, Answers, Question, question
from agi_gate.store.receivers import Waiter
from agi_gate.store.reconnecting import has_served, pause_s
from agi_gate.store.wire import Answer, Command, StoreUnavailable
from compliance.redis_schema import WHOLE, Keys
from compliance.redis_url import unreachable, without_secrets

MOST_IN_FLIGHT = 2

AWAKE_S = 0.0002
"""Seconds for which the loop polls for the reply to a single question instead of sleeping, with two cores or more."""

WAIT_SHARE = 0.125
"""Limit of the wait for replicas, as a share of `timeout_s`. `timeout_s` is four deadlines (`backend.PATIENCE`), so the
limit is half a deadline.
"""

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
        self,
        url: str,
        *,
        timeout_s: float,
        replicas: int = 0,
        keys: Keys = WHOLE,
        opening: Sequence[Command] = (),
        mastership: Mastership | None = None,
        notices: Notices | None = None,
    ) -> None:
        self.notices = notices or Notices()
        self.mastership = mastership or mastership_of(url, replicas, timeout_s)
        self.keys, self._opening = keys, opening
        self._state = StateReader(keys)
        self._timeout_s = timeout_s
        self._followers = self.mastership.followers
        self._poll = poll_of(lambda: self.health, self.mastership, self._leave)
        self._pipe: Pipe | None = None
        self._queue: deque[Asked] = deque()
        self._flush_scheduled = False
        self._quiet = True
        self._served_since: float | None = None
        self._log = LinkLog(self.notices)
        # With a single core the gate must not poll, because Redis could not work meanwhile.
        self._awake_s = AWAKE_S if len(os.sched_getaffinity(0)) > 1 else 0.0
        self.health = Health()

    @property
    def where(self) -> dict[str, str | int]:
        """The address of the server, and in a cluster the lowest slot of its shard, for the log."""
        master = self.mastership.connected if self.health.connected else self.mastership.announced
        shard = {} if self.keys.first_slot is None else {"shard": self.keys.first_slot}
        return {"redis": without_secrets(master.url), **shard}

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
        waiter = Waiter()
        self.ask(waiter, question(*commands, to_replicas=to_replicas))
        return await waiter.future

    async def run(self) -> None:
        """Connect, serve questions, and reconnect, until cancelled."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_connected())
            tasks.create_task(self.mastership.run())

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            try:
                async with open_pipe(self.mastership, self._opening, self._timeout_s) as opened:
                    self._begin(opened)
                    await self._serve(opened.pipe)
            # A UnicodeError comes from an impossible host name, which a sentinel or a node may give.
            except (RedisError, OSError, TimeoutError, StoreUnavailable, UnicodeError) as error:
                attempt = 0 if has_served(self._served_since) else attempt
                self._on_lost(error)
            finally:
                self.health.connected, self._pipe = False, None
                self._fail_queue()
            await asyncio.sleep(pause_s(attempt))
            attempt += 1

    def _begin(self, opened: Opened) -> None:
        """Begin with a new connection. The trouble of the last one stands until Redis has returned its state."""
        self._pipe = opened.pipe
        self.health = Health(True, self.health.trouble, opened.server, connects=self.health.connects + 1)
        self.mastership.begin(opened.master, self.health, opened.pipe.end)

    async def _serve(self, pipe: Pipe) -> None:
        """Serve questions until the connection is lost, or Redis becomes silent. Raises the cause."""
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
            if asked := take(self._queue):
                self._send(pipe, asked)

    def _stay_awake(self, pipe: Pipe, until: float) -> None:
        """Keep the loop polling until the reply comes, or until the time `until`."""
        # A ready callback makes the loop poll without sleeping. A sleeping loop wakes some 20 µs late. Polling makes a
        # single call 12 % faster (python -m bench.alternatives; docs/decisions/002).
        if pipe.in_flight and monotonic() < until:
            self._loop.call_soon(self._stay_awake, pipe, until)

    def _send(self, pipe: Pipe, asked: list[Asked]) -> None:
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
            wait = [wait_for(self._followers.needed or 0, self._timeout_s * WAIT_SHARE)] * waited
            commands = [self._state.before] * watched + commands + wait + [self._state.after] * watched
            replies += REPLIES_AROUND * watched + waited
        pipe.send(Sent(self, asked, watched, waited), commands, replies)

    def distribute(self, sent: Sent, replies: list[Answer]) -> None:
        """Pass the replies of one pipeline to the receivers of its questions, then send the queue."""
        before = after = None
        if sent.watched:
            try:
                before, after = self._state.read(replies[0]), self._state.read(replies[-1])
            except StoreUnavailable as error:
                fail(sent.asked, error)
                self._leave(error)
                return
            self.health.state, self.health.leased = after, replies[1] == 1
            if self._served_since is None:
                self._served_since = monotonic()
                self.health.looked, self.health.trouble = True, ""
                self._log.looked(server=self.health.server, **self.where)
        at, server, leased = REPLIES_BEFORE * sent.watched, self.health.server, self.health.leased
        replicated = not sent.waited or self._reached(replies[-1 - sent.watched])
        for receiver, put in sent.asked:
            end = at + put.replies
            try:
                receiver.answered(Answers(server, before, after, leased, replies[at:end], replicated))
            except Exception:  # A fault in one receiver must not take the answers from the others.
                log.exception("answers not received")
            at = end
        if not self._flush_scheduled and self._queue:
            self._flush()

    def _leave(self, error: StoreUnavailable) -> None:
        """End the connection."""
        if self._pipe:
            self._pipe.end(error)

    def _reached(self, reply: Answer) -> bool:
        """Return whether enough replicas have acknowledged. WAIT replies with their number, even after its timeout."""
        needed = self._followers.needed
        if needed is not None and isinstance(reply, int) and reply >= needed:
            return True
        self.mastership.miss()
        return False

    def _on_lost(self, error: Exception) -> None:
        late = f"Redis did not answer within {self._timeout_s * 1000:.0f} ms"
        trouble = late if isinstance(error, TimeoutError) else unreachable(self.mastership.announced.url, error)
        self._log.lost(trouble, **self.where)
        self.health = Health(False, trouble, connects=self.health.connects)
        self._served_since = None
        self.mastership.miss()

    def _fail_queue(self) -> None:
        queue, self._queue = self._queue, deque()
        fail(queue, StoreUnavailable(self.health.trouble))
