"""The decisions of one log that wait to be recorded: in memory, and on disk while Redis accepts none.

While Redis accepts decisions, they wait in memory alone, for milliseconds. Otherwise all of them are written to the
spool, and memory keeps only the oldest. A thread writes them, so a slow disk delays no answer. Memory is filled again
from the spool once the decisions in it are recorded.

If there is no room for a decision, it is lost. The loss goes on record: how many decisions, the first and the last.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import structlog

from agi_gate.decision_id import DecisionIds
from agi_gate.disk_thread import DiskThread
from agi_gate.segment import Found
from agi_gate.spool import Spool, SpoolFull
from compliance.redis_schema import EPOCH
from compliance.verdict import RECORDS_LOST, Decision, block

LONGEST = 20_000
"""Maximum number of decisions in memory, and of those that the disk has not taken yet. At 500 bytes each they take
10 MB.
"""

Result = TypeVar("Result")

log = structlog.get_logger()


class Loss:
    """The decisions of `gate` that were lost since the last record of a loss."""

    def __init__(self, gate: str) -> None:
        self._gate, self._ids = gate, DecisionIds()
        self.total = self._many = 0
        self._id = ""
        self._first = self._last = EPOCH

    def add(self, first: datetime, last: datetime, many: int = 1) -> None:
        """Add `many` lost decisions."""
        if not self._many:
            log.error("decisions lost: too many wait to be recorded", gate=self._gate)
            self._first, self._last, self._id = first, last, self._ids.next(first)
        self._many += many
        self.total += many
        self._first, self._last = min(self._first, first), max(self._last, last)

    def decision(self) -> Decision:
        """Return the record of the loss so far."""
        detail = f"{self._many} calls until {self._last:%Y-%m-%dT%H:%M:%SZ}"
        return Decision(self._id, self._first, block(RECORDS_LOST, detail), "", "", "", "", 0, self._gate)

    def take(self) -> Decision | None:
        """Return the record of the loss, and begin a new one. Return None if nothing was lost."""
        if not self._many:
            return None
        decision, self._many = self.decision(), 0
        log.error("loss of decisions goes on record", decision=decision.id, detail=decision.ruling.detail)
        return decision


class Backlog:
    """The decisions of the gate process `gate` that wait. Without a `spool` they wait in memory alone."""

    def __init__(self, spool: Spool | None, gate: str) -> None:
        self.memory: deque[Decision] = deque()
        self.loss = Loss(gate)
        self.filled = asyncio.Event()
        """Set while something waits."""
        self.spooling = False
        self._spool = spool
        self._unwritten: deque[tuple[Decision, bool]] = deque()
        """Decisions that are not on disk yet, each with whether memory has it too."""
        self._behind = 0
        """Number of decisions on disk, or on their way there, that are not in memory."""
        self._to_write, self._writing = asyncio.Event(), asyncio.Lock()
        self._trouble = ""
        self._only_in_memory = False
        """Whether memory may have decisions that the disk has not taken."""
        self._thread: DiskThread | None = None

    def __len__(self) -> int:
        return len(self.memory) + self._behind

    @property
    def on_disk(self) -> int:
        """The number of waiting decisions that survive the end of this process, at the least."""
        if self._spool is None:
            return 0
        # Decisions that are recorded already are on disk too, so the number of those on disk alone would be too high.
        written = (self._behind if self._only_in_memory else len(self)) - len(self._unwritten)
        return max(0, min(written, self._spool.kept))

    def add(self, decision: Decision, *, cut_off: bool) -> None:
        """Add a decision. `cut_off` says that Redis cannot take it now."""
        if cut_off:
            self.spool()
        if not self.spooling:
            self._remember(decision)
        elif len(self._unwritten) < LONGEST:
            in_memory = not self._behind and len(self.memory) < LONGEST
            if in_memory:
                self.memory.append(decision)
            self._write_soon(decision, in_memory=in_memory)
        else:
            self.loss.add(decision.at, decision.at)
        self.filled.set()

    def _remember(self, decision: Decision) -> None:
        # Memory is bounded, because a gate without Redis adds a decision for every call. Otherwise it would grow until
        # the system kills the process.
        if len(self.memory) >= LONGEST:
            oldest = self.memory.popleft()
            self.loss.add(oldest.at, oldest.at)
        self.memory.append(decision)

    def spool(self) -> None:
        """Write all decisions to disk from now on, until none waits any more."""
        if self._spool and not self.spooling:
            self.spooling, self._only_in_memory = True, False
            for decision in self.memory:
                self._write_soon(decision, in_memory=True)

    def keep(self) -> None:
        """Write all decisions to disk that it may not have, because this process ends."""
        if self._only_in_memory:  # The disk may have room again for what it has refused.
            self.spooling = False
        self.spool()

    def _write_soon(self, decision: Decision, *, in_memory: bool) -> None:
        self._unwritten.append((decision, in_memory))
        self._behind += not in_memory
        self._to_write.set()

    async def write(self) -> None:
        """Write decisions to disk as they come, until cancelled."""
        while True:
            await self._to_write.wait()
            await self.written()

    async def written(self) -> None:
        """Wait until all decisions that came so far are on disk, or cannot be."""
        async with self._writing:
            while self._unwritten:
                unwritten, some = self._unwritten, list(self._unwritten)
                done = await self._in_thread(partial(self._write_some, some))
                if unwritten is self._unwritten:  # Otherwise another log has taken them over meanwhile.
                    await self._note_written(some, done)
            self._to_write.clear()

    def _write_some(self, some: Sequence[tuple[Decision, bool]]) -> int:
        """Write decisions to the spool. Return how many of them are on disk."""
        done, trouble = 0, ""
        try:
            for decision, in_memory in some:
                self._disk.write(decision, loaded=in_memory)
                done += 1
        except (OSError, SpoolFull) as error:
            trouble = str(error)
        if trouble and trouble != self._trouble:
            log.error("decisions cannot be kept on disk", trouble=trouble)
        self._trouble = trouble
        return done

    async def _note_written(self, some: Sequence[tuple[Decision, bool]], done: int) -> None:
        for _ in some:
            self._unwritten.popleft()
        lost = [decision for decision, in_memory in some[done:] if not in_memory]
        self._only_in_memory = self._only_in_memory or len(lost) < len(some) - done
        if lost:
            self._behind -= len(lost)
            self.loss.add(lost[0].at, lost[-1].at, len(lost))
            # On disk the loss survives a kill.
            await self._in_thread(partial(self._disk.note_loss, self.loss.decision()))

    async def refill(self) -> None:
        """Read the next decisions from disk. Call it once all decisions in memory are recorded. Raises OSError."""
        if not self.spooling or self.memory:
            return
        settled = 0 if self._unwritten else self._behind
        found = await self._in_thread(self._disk.load)
        read = len(found.decisions) + found.unreadable
        # If nothing is there although nothing is on its way either, somebody has deleted the files.
        self._behind = max(0, self._behind - (read or settled))
        self._take(found)
        if not len(self) and not self._unwritten:
            self.spooling = False
            with suppress(OSError):  # The task that looks for files every second logs it.
                await self.adopt()

    async def adopt(self) -> None:
        """Read what a dead process has left on disk, if nothing waits here. Raises OSError."""
        if self._spool and not len(self) and not self.spooling:
            self._take(await self._in_thread(self._spool.adopt))

    def _take(self, found: Found) -> None:
        if not found.decisions and not found.unreadable:
            return
        self.spool()  # `refill` then deletes the file once its decisions are recorded.
        self.memory.extendleft(reversed(found.decisions))
        if found.unreadable:
            at = datetime.fromtimestamp(found.written_at, UTC)
            self.loss.add(at, at, found.unreadable)
        self.filled.set()

    def hand_over(self, to: Callable[[Decision], None]) -> None:
        """Pass all decisions to another log. That log, or another gate, adopts those on disk."""
        lost, in_memory = self.loss.take(), not self.spooling or self._only_in_memory
        unwritten = (one for one, has_it in self._unwritten if not (in_memory and has_it))
        for decision in (*(self.memory if in_memory else ()), *unwritten):
            to(decision)
        if lost:
            to(lost)
        self.memory.clear()
        self._unwritten, self._behind, self.spooling = deque(), 0, False
        if self._thread and self._spool:
            self._thread.submit(self._spool.release)

    @property
    def _disk(self) -> Spool:
        if self._spool is None:
            raise RuntimeError("this backlog has no spool")
        return self._spool

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        """Run `work` in the one thread that uses the disk, after all that came before."""
        if self._thread is None:
            self._thread = DiskThread()
        return await self._thread.run(work)
