"""The decisions of one log that wait to be recorded: in memory, and on disk while Redis accepts none.

While Redis accepts decisions, they wait in memory alone, for milliseconds. Otherwise all of them are written to the
spool, and memory keeps only the oldest. A thread writes them, so a slow disk delays no answer. Memory is filled again
from the spool once the decisions in it are recorded. Until the disk answers, new decisions are recorded from memory, so
they may be recorded before older ones. Each has an id and a time of its own. The backlog never contains both an ALLOW
and its correction, because the ALLOW is appended directly, before its correction is noted.

If there is no room for a decision, it is lost. The loss goes on record: how many decisions, the first and the last.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

import structlog

from agi_gate.loss import Loss
from agi_gate.spool.disk_thread import DiskThread
from agi_gate.spool.segment import Found
from agi_gate.spool.spool import Spool, SpoolFull
from compliance.verdict import Decision

LONGEST = 20_000
"""Maximum number of decisions in memory, and of those besides that the disk has not taken yet. At 500 bytes each they
take 10 MB.
"""

WRITE_AT_ONCE = 1_000
"""Maximum number of decisions that are written to disk before their room is free for others."""

Result = TypeVar("Result")

log = structlog.get_logger()


class Reading(NamedTuple):
    """What the disk reads now. For a load, `settled` is the number of decisions that must be on disk."""

    found: asyncio.Future[Found]
    settled: int | None


class Backlog:
    """The decisions of the gate process `gate` that wait. Without a `spool` they wait in memory alone."""

    def __init__(self, spool: Spool | None, gate: str) -> None:
        self.memory: deque[Decision] = deque()
        self.loss = Loss(gate)
        self.filled = asyncio.Event()
        """Set while there is something to append or to take from the disk."""
        self.spooling = False
        self._spool = spool
        self._unwritten: deque[tuple[Decision, bool]] = deque()
        """Decisions that are not on disk yet, each with whether memory has it too."""
        self._unwritten_alone = 0
        """Number of these that memory does not have."""
        self._behind = 0
        """Number of decisions on disk, or on their way there, that are not in memory."""
        self._to_write, self._writing = asyncio.Event(), asyncio.Lock()
        self._trouble = ""
        self._only_in_memory = False
        """Whether memory may have decisions that the disk has not taken."""
        self._thread: DiskThread | None = None
        self._reading: Reading | None = None
        """What the disk reads, until its decisions are in memory."""

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
        if self.spooling:
            self._keep(decision)
        else:
            self._remember(decision)
        self.filled.set()

    def _keep(self, decision: Decision) -> None:
        """Keep a decision on disk, and in memory too if there is room, so that it does not wait for the disk."""
        if len(self.memory) < LONGEST:
            self.memory.append(decision)
            # Redis may have most of what a disk that hangs has not taken.
            if len(self._unwritten) < 2 * LONGEST:
                self._write_soon(decision, in_memory=True)
            else:
                self._only_in_memory = True
        elif self._unwritten_alone < LONGEST:
            self._write_soon(decision, in_memory=False)
        else:
            self.loss.add(decision.at, decision.at)

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
        self._unwritten_alone += not in_memory
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
                unwritten, some = self._unwritten, list(islice(self._unwritten, WRITE_AT_ONCE))
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
        for _, in_memory in some:
            self._unwritten.popleft()
            self._unwritten_alone -= not in_memory
        lost = [decision for decision, in_memory in some[done:] if not in_memory]
        self._only_in_memory = self._only_in_memory or len(lost) < len(some) - done
        if lost:
            self._behind -= len(lost)
            self.loss.add(lost[0].at, lost[-1].at, len(lost))
            # On disk the loss survives a kill.
            await self._in_thread(partial(self._disk.note_loss, self.loss.decision()))

    def refill(self) -> None:
        """Take what the disk has read, or begin to read the next decisions if memory has none. Raises OSError.

        Call it while no append is under way.
        """
        if self._reading and self._reading.found.done():
            reading, self._reading = self._reading, None
            self._take(reading)
        elif self.spooling and not self.memory and not self._reading:
            self._read(self._disk.load, settled=0 if self._unwritten else self._behind)
        if not self.memory and (self._reading or not self.spooling):
            self.filled.clear()

    def adopt(self) -> None:
        """Begin to read what a dead process has left on disk, if nothing waits here. `refill` takes it."""
        # A load deletes what was adopted. So nothing may be loaded until memory has it: there is one reading at a time.
        if self._spool and not len(self) and not self.spooling and not self._reading:
            self._read(self._spool.adopt)

    def _read(self, work: Callable[[], Found], settled: int | None = None) -> None:
        self._reading = reading = Reading(self._in_thread(work), settled)
        reading.found.add_done_callback(self._has_read)

    def _has_read(self, found: asyncio.Future[Found]) -> None:
        if not found.cancelled():
            found.exception()  # Otherwise asyncio logs the exception of a reading that nobody takes any more.
        self.filled.set()

    def _take(self, reading: Reading) -> None:
        found = reading.found.result()
        if reading.settled is not None:
            read = len(found.decisions) + found.unreadable
            # If nothing is there although nothing is on its way either, somebody has deleted the files.
            self._behind = max(0, self._behind - (read or reading.settled))
        if found.decisions or found.unreadable:
            self.spool()  # `refill` then deletes the file once its decisions are recorded.
            self.memory.extendleft(reversed(found.decisions))
        if found.unreadable:
            at = datetime.fromtimestamp(found.written_at, UTC)
            self.loss.add(at, at, found.unreadable)
        # A file with unreadable lines alone is deleted by the next load.
        if self.spooling and not (len(self) or self._unwritten or self._disk.kept or found.unreadable):
            self.spooling = False
            self.adopt()  # Another dead process may have left a file too.

    def hand_over(self, to: Callable[[Decision], None]) -> None:
        """Pass all decisions to another log. That log, or another gate, adopts those on disk."""
        lost, in_memory = self.loss.take(), not self.spooling or self._only_in_memory
        unwritten = (one for one, has_it in self._unwritten if not (in_memory and has_it))
        for decision in (*(self.memory if in_memory else ()), *unwritten):
            to(decision)
        if lost:
            to(lost)
        self.memory.clear()
        self._unwritten, self._unwritten_alone, self._behind, self.spooling = deque(), 0, 0, False
        self._reading = None
        if self._thread and self._spool:
            self._thread.submit(self._spool.release)

    @property
    def _disk(self) -> Spool:
        if self._spool is None:
            raise RuntimeError("this backlog has no spool")
        return self._spool

    def _in_thread(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Run `work` in the one thread that uses the disk, after all that came before and before all that comes."""
        if self._thread is None:
            self._thread = DiskThread()
        return self._thread.run(work)
