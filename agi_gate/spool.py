"""Decisions on disk, while Redis accepts none: they survive the process that made them.

A spool is a directory of segments. Each process appends to segments of its own, which it holds locked (flock). The
kernel releases the lock when the process ends, however it ends. Then another gate can adopt the segment. A decision may
be read twice, from memory and from disk. That does no harm, because the archive keeps one row for each decision.

The functions of this module wait for the disk, so they run in a thread of their own (`backlog.py`).
"""

import fcntl
import os
import secrets
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import structlog

from agi_gate.segment import Found, Segment, create, encode, lock, read
from compliance.verdict import Decision

SEGMENT_BYTES = 1_000_000
"""Maximum size of a segment: about 4,000 decisions, so that reading one takes some ten milliseconds."""

SUFFIX, NEW = ".spool", ".new"

log = structlog.get_logger()


class SpoolFull(Exception):
    """The spool has reached its size limit."""


@dataclass(slots=True)
class Spool:
    """The segments of one decision log in `directory`. All processes together keep at most `most_bytes` there."""

    directory: Path
    most_bytes: int
    kept: int = 0
    """Number of decisions in the segments of this log."""
    _own: deque[Segment] = field(default_factory=deque)
    _adopted: list[Segment] = field(default_factory=list)

    def write(self, decision: Decision, *, loaded: bool) -> None:
        """Append a decision. Raises OSError, SpoolFull.

        `loaded` says that memory has this decision too, so that `load` does not read it again.
        """
        line = encode(decision)
        last = self._own[-1] if self._own else None
        if last is None or last.loaded != loaded or last.size + len(line) > SEGMENT_BYTES:
            last = self._begin(loaded)
            self._own.append(last)
        last.append(line)
        self.kept += 1

    def note_loss(self, decision: Decision) -> None:
        """Write the record of a loss behind all decisions, in place of the one before."""
        if self._own:
            # The disk may be full, and the record of the loss is in memory too.
            with suppress(OSError):
                self._own[-1].note(encode(decision))

    def load(self) -> Found:
        """Delete what memory has had, because it is recorded now. Return the decisions of the oldest other segment.

        Raises OSError.
        """
        self._forget_loaded()
        if not self._own:
            return Found([])
        found = read(self._own[0].descriptor, self._own[0].size)
        self._own[0].loaded = True
        return found

    def adopt(self) -> Found:
        """Lock a segment that a dead process has left, and return its decisions.

        Raises OSError if there is none, and a file cannot be used.
        """
        trouble: OSError | None = None
        for path in sorted(self.directory.glob(f"*{SUFFIX}")):
            try:
                found = self._adopt(path)
            except OSError as error:  # It must not keep the files after it from being read.
                trouble = error
                continue
            if found.decisions or found.unreadable:
                return found
        if trouble:
            raise trouble
        return Found([])

    def _adopt(self, path: Path) -> Found:
        """Lock a segment and return its decisions; none if its process lives. Raises OSError."""
        segment = lock(path)
        if segment is None:
            return Found([])
        try:
            found = read(segment.descriptor, os.fstat(segment.descriptor).st_size)
        except OSError:
            segment.release()
            raise
        if not found.decisions and not found.unreadable:
            segment.remove()
            return found
        segment.decisions = len(found.decisions)
        self.kept += segment.decisions
        self._adopted.append(segment)
        return found

    def release(self) -> None:
        """Leave all segments to other logs."""
        for segment in (*self._adopted, *self._own):
            segment.release()
        self._adopted, self._own, self.kept = [], deque(), 0

    def _forget_loaded(self) -> None:
        while self._adopted:
            self._remove(self._adopted.pop())
        while self._own and self._own[0].loaded:
            self._remove(self._own.popleft())

    def _remove(self, segment: Segment) -> None:
        self.kept -= segment.decisions
        segment.remove()

    def _begin(self, loaded: bool) -> Segment:
        """Create a segment. Raises SpoolFull, OSError."""
        # Every file counts as full, so that files which still grow stay within the limit.
        if (1 + sum(1 for _ in self.directory.glob(f"*{SUFFIX}"))) * SEGMENT_BYTES > self.most_bytes:
            raise SpoolFull(f"{self.most_bytes // 1_000_000} MB of decisions wait on disk")
        # The names are in the order of time. A file gets its name when it is locked, so no other gate can adopt it.
        path = self.directory / f"{time.time_ns():020d}-{secrets.token_hex(4)}{SUFFIX}"
        new = path.with_suffix(NEW)
        descriptor = create(new)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(path)
        except OSError:
            os.close(descriptor)
            raise
        return Segment(path, descriptor, loaded)


def prepare(directory: Path) -> None:
    """Create the directory of a spool, and check that files can be created in it. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    probe = directory / f"{secrets.token_hex(8)}{NEW}"
    os.close(create(probe))
    probe.unlink()


def opened(directory: Path, megabytes: int) -> Spool | None:
    """Return a spool in `directory`; None, and a line in the log, if no file can be created there."""
    return Spool(directory, megabytes * 1_000_000) if megabytes and _prepared(directory) else None


@cache  # Once in a process: on a cluster, each new shard opens a spool while calls are being answered.
def _prepared(directory: Path) -> bool:
    try:
        prepare(directory)
    except OSError as error:
        log.warning("decisions are not kept on disk", directory=str(directory), trouble=str(error))
        return False
    return True
