"""The decision stream: each decision is appended before its call is allowed.

A decision that could not be appended stays in a bounded backlog in memory, and is appended as soon as Redis accepts
it. So a blocked call leaves its record even if Redis was away.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import chain

import structlog

from agi_gate.store.foreseen import LOAD, append_if, is_unknown
from agi_gate.store.link import Link
from agi_gate.store.questions import Answers, RedisSteps, question
from agi_gate.store.wire import Answer, Command, StoreUnavailable
from compliance.facts import Facts, State
from compliance.redis_records import decision_fields
from compliance.redis_schema import DECISIONS
from compliance.verdict import Decision

LONGEST_BACKLOG = 20_000
"""Decisions in the backlog at most: at 500 bytes each, 10 MB."""

FLUSH_AT_ONCE = 200
"""Decisions that one flush appends at most."""

FLUSH_EVERY_S = 0.2
"""Seconds between two attempts to flush while Redis accepts nothing."""

log = structlog.get_logger()


class RecordUnavailable(Exception):
    """The decision could not be recorded; the message says why."""


class DecisionLog:
    """Appends decisions to the stream, and keeps the backlog."""

    def __init__(self, link: Link) -> None:
        self._link, self._stream = link, link.keys.decisions
        self._backlog: deque[Decision] = deque()
        self._wake = asyncio.Event()
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """The number of decisions that are not recorded yet."""
        return len(self._backlog)

    def record(self, decision: Decision) -> RedisSteps[State | None]:
        """Append a decision; return the projection's state after the append.

        Raises RecordUnavailable. The stream may contain the decision even then, if only the reply was lost.
        """
        try:
            answers = yield question(append(decision, self._stream), to_replicas=True)
        except StoreUnavailable as error:
            raise RecordUnavailable(str(error)) from error
        _appended(answers.replies[0])
        # Redis acknowledges a write before its replicas have it. Without this check a failover could lose the record of
        # a call that was allowed (Redis documentation, WAIT).
        _replicated(answers)
        return answers.after

    def record_foreseen(self, decision: Decision, facts: Facts) -> RedisSteps[bool]:
        """Append a decision if Redis confirms the assumed `facts` that it is based on; return whether it did.

        Raises StoreUnavailable, or RecordUnavailable if replicas lack the record. The stream may contain the decision
        even then.
        """
        if facts.state is None:
            return False
        answers = yield append_if(facts, facts.state, decision, self._link.keys)
        reply = answers.replies[0]
        # A Redis that has lost the script gets it again, and this call is judged on facts that are read: that is one
        # slow call per restart instead of a retry in each of them.
        if is_unknown(reply):
            yield question(LOAD)
        if not isinstance(reply, bytes):
            return False
        _replicated(answers)
        return True

    def note(self, decision: Decision) -> None:
        """Put a decision into the backlog; drop and log the oldest if the backlog is full."""
        # Bounded, because a gate without Redis blocks every call and would grow until the system kills it.
        if len(self._backlog) >= LONGEST_BACKLOG:
            lost = self._backlog.popleft()
            self.dropped += 1
            log.error("decision dropped", decision=lost.id, verdict=lost.ruling.verdict, reason=lost.ruling.reason)
        self._backlog.append(decision)
        self._wake.set()

    def drain_backlog(self) -> Iterator[Decision]:
        """Drain and return the backlog, because this log has lost its Redis for good."""
        while self._backlog:
            yield self._backlog.popleft()

    async def run(self) -> None:
        """Append the backlog whenever Redis accepts it, until cancelled."""
        while True:
            await self._wake.wait()
            if not await self.flush():
                await asyncio.sleep(FLUSH_EVERY_S)

    async def flush(self) -> bool:
        """Append the oldest decisions of the backlog; return whether Redis accepted all of them."""
        some = [self._backlog[i] for i in range(min(FLUSH_AT_ONCE, len(self._backlog)))]
        try:
            answers = await self._link.answers_to(*(append(decision, self._stream) for decision in some))
            for decision, reply in zip(some, answers.replies, strict=True):
                _appended(reply)
                self._forget(decision)
        except (StoreUnavailable, RecordUnavailable):
            return False
        if not self._backlog:
            self._wake.clear()
        return True

    def _forget(self, decision: Decision) -> None:
        """Remove a decision from the front of the backlog."""
        # While the flush waited for Redis, a full backlog may have dropped it already.
        if self._backlog and self._backlog[0] is decision:
            self._backlog.popleft()


def append(decision: Decision, stream: str = DECISIONS) -> Command:
    """Return the command that appends `decision` to the stream."""
    return ("XADD", stream, "*", *chain.from_iterable(decision_fields(decision).items()))


def _appended(reply: Answer) -> None:
    """Raise RecordUnavailable unless `reply` is the id of a new entry."""
    # Redis at maxmemory replies OOM, and one that cannot write its files replies MISCONF (redis.conf,
    # stop-writes-on-bgsave-error). It still serves reads then, so only the append shows it.
    if not isinstance(reply, bytes):
        raise RecordUnavailable(str(reply))


def _replicated(answers: Answers) -> None:
    """Raise RecordUnavailable unless as many replicas have the record as the settings require."""
    if not answers.replicated:
        raise RecordUnavailable("too few replicas of Redis have the record")
