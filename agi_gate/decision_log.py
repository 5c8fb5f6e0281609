"""Putting decisions on record: appended to the decision stream before a call is let through.

What could not be appended is kept in memory, bounded, and appended as soon as Redis takes it: a blocked call leaves
its record even when the record could not be made at once.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import chain

import structlog

from agi_gate.store.asking import Answers, Asking, question
from agi_gate.store.foreseen import LOAD, append_if, is_unknown
from agi_gate.store.link import Link
from agi_gate.store.wire import Answer, Command, StoreUnavailable
from compliance.facts import Facts, State
from compliance.redis_schema import DECISIONS, decision_fields
from compliance.verdict import Decision

LONGEST_BACKLOG = 20_000
"""Decisions kept while Redis takes none; at 500 bytes each, 10 MB."""

FLUSH_AT_ONCE = 200
FLUSH_EVERY_S = 0.2

log = structlog.get_logger()


class RecordUnavailable(Exception):
    """The decision could not be put on record; the message says why."""


class DecisionLog:
    """The decision stream, as the gate writes it."""

    def __init__(self, link: Link) -> None:
        self._link, self._stream = link, link.keys.decisions
        self._backlog: deque[Decision] = deque()
        self._wake = asyncio.Event()
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """How many decisions wait to be put on record."""
        return len(self._backlog)

    def record(self, decision: Decision) -> Asking[State | None]:
        """Append a decision; give the projection's state as it stood behind the append.

        Raises RecordUnavailable; the stream may hold the decision all the same, if the answer was lost.
        """
        try:
            answers = yield question(append(decision, self._stream), to_replicas=True)
        except StoreUnavailable as error:
            raise RecordUnavailable(str(error)) from error
        _appended(answers.replies[0])
        _replicated(answers)
        return answers.behind

    def record_foreseen(self, decision: Decision, facts: Facts) -> Asking[bool]:
        """Append a decision if the foreseen `facts` that it was made on are so; tell whether it was appended.

        Raises StoreUnavailable, or RecordUnavailable when replicas lack it; the stream may hold the decision all the
        same.
        """
        if facts.state is None:
            return False
        answers = yield append_if(facts, facts.state, decision, self._link.keys)
        reply = answers.replies[0]
        if is_unknown(reply):
            yield question(LOAD)
        if not isinstance(reply, bytes):
            return False
        _replicated(answers)
        return True

    def note(self, decision: Decision) -> None:
        """Take a decision that could not be recorded at once, to be appended later."""
        if len(self._backlog) >= LONGEST_BACKLOG:
            lost = self._backlog.popleft()
            self.dropped += 1
            log.error("decision dropped", decision=lost.id, verdict=lost.ruling.verdict, reason=lost.ruling.reason)
        self._backlog.append(decision)
        self._wake.set()

    def give_away(self) -> Iterator[Decision]:
        """Give what waits, and keep none of it: this log has lost its Redis for good."""
        while self._backlog:
            yield self._backlog.popleft()

    async def run(self) -> None:
        """Append what waits whenever Redis takes it, until cancelled."""
        while True:
            await self._wake.wait()
            if not await self.flush():
                await asyncio.sleep(FLUSH_EVERY_S)

    async def flush(self) -> bool:
        """Append the oldest of what waits; tell whether Redis took it."""
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
        """Drop the oldest that waits, unless it was dropped already because there was no more room."""
        if self._backlog and self._backlog[0] is decision:
            self._backlog.popleft()


def append(decision: Decision, stream: str = DECISIONS) -> Command:
    """Spell the command that appends `decision` to the stream."""
    return ("XADD", stream, "*", *chain.from_iterable(decision_fields(decision).items()))


def _appended(reply: Answer) -> None:
    """Raise RecordUnavailable unless `reply` is the id of a new entry: a full Redis says OOM, a full disk MISCONF."""
    if not isinstance(reply, bytes):
        raise RecordUnavailable(str(reply))


def _replicated(answers: Answers) -> None:
    """Raise RecordUnavailable unless as many replicas as are asked for have what was appended."""
    if not answers.replicated:
        raise RecordUnavailable("too few replicas of Redis have the record")
