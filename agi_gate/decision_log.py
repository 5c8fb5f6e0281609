"""The decision stream: the gate appends each decision to it before it allows the call.

If a decision cannot be appended, its call is blocked. The decision then waits in a backlog, which is bounded, and is
appended as soon as Redis accepts it. So a blocked call is recorded even if Redis was down.
"""

import asyncio
import re
from contextlib import suppress
from itertools import chain, islice, takewhile

import structlog

from agi_gate.backlog import Backlog
from agi_gate.spool.spool import Spool
from agi_gate.store.foreseen import LOAD, append_if, has_appended, is_unknown
from agi_gate.store.link import Link
from agi_gate.store.questions import Answers, RedisSteps, question
from agi_gate.store.wire import Answer, Command, StoreUnavailable
from compliance.facts import Facts, State
from compliance.redis_connection import error_reply
from compliance.redis_records import decision_fields
from compliance.redis_schema import DECISIONS
from compliance.verdict import Decision

FLUSH_AT_ONCE = 200
"""Maximum number of decisions that one flush appends."""

FLUSH_EVERY_S = 0.2
"""Seconds between two attempts to flush while Redis accepts no decisions."""

ADOPT_EVERY_S = 1.0
"""Seconds between two searches for decisions that dead processes have left on disk."""

KEEP_S = 1.0
"""Maximum time in seconds that a process which ends waits for the disk."""

_ENTRY_ID = re.compile(rb"[0-9]+-[0-9]+")

log = structlog.get_logger()


class RecordUnavailable(Exception):
    """The decision could not be recorded; the message says why."""


class DecisionLog:
    """Appends the decisions of the process `gate` to the stream. With a `spool`, those that wait are on disk too."""

    def __init__(self, link: Link, spool: Spool | None = None, gate: str = "") -> None:
        self._link, self._stream = link, link.keys.decisions
        self._backlog = Backlog(spool, gate)
        self._appended: list[Decision] = []
        """Decisions of the backlog that Redis has and its replicas may not have."""
        self._appended_on = 0
        self._heir: DecisionLog | None = None
        self._trouble = ""

    @property
    def backlog(self) -> int:
        """The number of decisions that are not recorded yet."""
        return len(self._backlog)

    @property
    def on_disk(self) -> int:
        """The number of these decisions that survive the end of this process."""
        return self._backlog.on_disk

    @property
    def dropped(self) -> int:
        """The number of decisions that were lost."""
        return self._backlog.loss.total

    def record(self, decision: Decision) -> RedisSteps[State | None]:
        """Append a decision; return the projection's state after the append.

        Raises RecordUnavailable. Even then the stream can contain the decision, because only the reply may be lost.
        """
        try:
            answers = yield question(append(decision, self._stream), to_replicas=True)
        except StoreUnavailable as error:
            raise RecordUnavailable(str(error)) from error
        _appended(answers.replies[0])
        # Redis acknowledges a write before its replicas have it (Redis documentation, WAIT). Without this check a
        # failover could lose the record of an allowed call.
        _replicated(answers)
        return answers.after

    def record_foreseen(self, decision: Decision, facts: Facts) -> RedisSteps[bool]:
        """Append a decision if Redis confirms its assumed `facts`; return whether Redis appended the decision.

        Raises StoreUnavailable, or RecordUnavailable if too few replicas have the record. Even then the stream can
        contain the decision.
        """
        if facts.state is None:
            return False
        answers = yield append_if(facts, facts.state, decision, self._link.keys)
        reply = answers.replies[0]
        # If Redis does not have the script, load it. Our caller then reads the facts and judges this call on them. So
        # only one call is slow after a restart of Redis, and no call needs a retry.
        if is_unknown(reply):
            yield question(LOAD)
        if not has_appended(reply, decision):
            return False
        _replicated(answers)
        return True

    def note(self, decision: Decision) -> None:
        """Put a decision into the backlog."""
        if self._heir:
            self._heir.note(decision)
        else:
            self._backlog.add(decision, cut_off=not self._link.health.connected)

    def move_to(self, other: "DecisionLog") -> None:
        """Move the backlog to another log."""
        self._backlog.hand_over(other.note)

    def bequeath(self, heir: "DecisionLog") -> None:
        """Leave the backlog to another log, with all decisions that are noted later: nothing runs this log any more."""
        self._heir = heir
        self.move_to(heir)

    async def keep(self) -> None:
        """Write the backlog to disk, because this process ends."""
        self._backlog.keep()
        with suppress(TimeoutError):
            async with asyncio.timeout(KEEP_S):
                await self._backlog.written()

    async def run(self) -> None:
        """Append the backlog whenever Redis accepts it, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._backlog.write())
            tasks.create_task(self._adopt())
            while True:
                await self._backlog.filled.wait()
                if not await self.flush():
                    self._backlog.spool()
                    await asyncio.sleep(FLUSH_EVERY_S)

    async def _adopt(self) -> None:
        """Adopt the decisions that dead processes have left, while Redis accepts decisions."""
        while True:
            if self._link.health.connected:
                self._backlog.adopt()
            await asyncio.sleep(ADOPT_EVERY_S)

    def _say(self, what: str, trouble: str) -> None:
        """Log a trouble when it changes."""
        if trouble != self._trouble:
            log.error(what, trouble=trouble)
        self._trouble = trouble

    async def flush(self) -> bool:
        """Append the oldest decisions of the backlog; return whether Redis and its replicas have all of them."""
        backlog = self._backlog
        try:
            if backlog.memory:
                await self._append_some()
            backlog.refill()
        except (StoreUnavailable, RecordUnavailable):
            return False
        except OSError as error:
            self._say("decisions on disk cannot be read", str(error))
            return not backlog.spooling
        if not backlog.memory and not backlog.spooling and (lost := backlog.loss.take()):
            self.note(lost)
        return True

    async def _append_some(self) -> None:
        """Append decisions, or wait again for replicas that lack some. Raises StoreUnavailable, RecordUnavailable."""
        # WAIT covers all writes of its connection. So as long as the connection lasts, nothing is appended twice.
        if self._appended_on != self._link.health.connects:
            self._appended_on, self._appended = self._link.health.connects, []
        some = [] if self._appended else list(islice(self._backlog.memory, FLUSH_AT_ONCE))
        answers = await self._link.answers_to(*(append(one, self._stream) for one in some), to_replicas=True)
        taken = takewhile(lambda pair: is_entry_id(pair[1]), zip(some, answers.replies, strict=True))
        self._appended += [decision for decision, _ in taken]
        _replicated(answers)
        for decision in self._appended:
            self._forget(decision)
        self._appended = []
        for reply in answers.replies:
            _appended(reply)

    def _forget(self, decision: Decision) -> None:
        """Remove a decision from the front of the backlog."""
        # If the backlog filled up while the flush waited for Redis, it may already have dropped the decision.
        memory = self._backlog.memory
        if memory and memory[0] is decision:
            memory.popleft()


def append(decision: Decision, stream: str = DECISIONS) -> Command:
    """Return the command that appends `decision` to the stream."""
    return ("XADD", stream, "*", *chain.from_iterable(decision_fields(decision).items()))


def _appended(reply: Answer) -> None:
    """Raise RecordUnavailable unless `reply` is the id of a new entry."""
    # Redis replies OOM at maxmemory, and MISCONF if it cannot write its files (redis.conf,
    # stop-writes-on-bgsave-error). It still serves reads in both states, so only the append shows the fault.
    if not is_entry_id(reply):
        raise RecordUnavailable(error_reply(reply))


def is_entry_id(reply: Answer) -> bool:
    """Return whether a reply is the id of an entry. No other text, such as OK, proves that there is a record."""
    return isinstance(reply, bytes) and _ENTRY_ID.fullmatch(reply) is not None


def _replicated(answers: Answers) -> None:
    """Raise RecordUnavailable unless as many replicas have the record as the settings require."""
    if not answers.replicated:
        raise RecordUnavailable("too few replicas of Redis have the record")
