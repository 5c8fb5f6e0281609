"""Decisions on disk, while Redis accepts none: they survive the process that made them.

A spool is a directory of segments. Each process appends to segments of its own, which it holds locked (flock). The
kernel releases the lock when the process ends, however it ends. Then another gate can adopt the segment. A decision may
be read twice, from memory and from disk. That does no harm, because the archive keeps one row for each decision.

The functions of this module wait for the disk, so they run in a thread of their own (`backlog.py`).
"""

import os
from collections import deque
from contextlib import suppress
from pathlib import Path

from agi_gate.spool.directory import SpoolDirectory, is_usable
from agi_gate.spool.segment import Found, Segment, create, encode, lock, read
from compliance.verdict import Decision

SEGMENT_BYTES = 1_000_000
"""Maximum size of a segment: about 4,000 decisions, so that reading one takes some ten milliseconds."""


class SpoolFull(Exception):
    """The spool has reached its size limit."""


class Spool:
    """The segments of one decision log in `directory`. All processes of `owner` keep at most `most_bytes` there."""

    def __init__(self, directory: Path, owner: str, most_bytes: int) -> None:
        self._directory, self._most_bytes = SpoolDirectory(directory, owner), most_bytes
        self._own, self._adopted = deque[Segment](), list[Segment]()
        self.kept = 0
        """Number of decisions in the segments of this log."""

    def write(self, decision: Decision, *, loaded: bool) -> None:
        """Append a decision. Raises OSError, SpoolFull.

        `loaded` says that memory has this decision too, so that `load` does not read it again.
        """
        line = encode(decision)
        last = self._own[-1] if self._own else None
        if last is None or last.loaded != loaded or last.size + len(line) > SEGMENT_BYTES:
            last = self._begin(loaded, len(line))
        elif (more := reserved(last.size + len(line)) - reserved(last.size)) > 0:
            self._require_room(more)
            if last.is_deleted:  # Somebody has deleted the directory, and perhaps another gate has created it again.
                last = self._begin(loaded, len(line))
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
        self._directory.say_foreign()
        for path in self._directory.segments():
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

    def _begin(self, loaded: bool, size: int) -> Segment:
        """Create a segment for `size` bytes at first. Raises SpoolFull, OSError."""
        self._require_room(reserved(size))
        try:
            segment = create(self._directory.new_path(), loaded=loaded)
        except (FileNotFoundError, BlockingIOError):  # Somebody has deleted the directory, or a gate the empty file.
            self._directory.make()
            segment = create(self._directory.new_path(), loaded=loaded)
        self._own.append(segment)
        return segment

    def _require_room(self, more: int) -> None:
        """Raise SpoolFull if the owner's files, with `more` bytes, exceed the limit. Raises OSError."""
        used = 0
        for path in self._directory.segments():
            with suppress(FileNotFoundError):
                used += reserved(path.lstat().st_size)
        if used + more > self._most_bytes:
            raise SpoolFull(f"{self._most_bytes // 1_000_000} MB of decisions wait on disk")


def reserved(size: int) -> int:
    """Return the bytes that a file of `size` bytes may reach before its process looks at the limit again.

    All files count with these bytes, so that files which still grow stay within the limit. A reservation doubles, so a
    process looks at the directory a few times for each file.
    """
    step = SEGMENT_BYTES // 16
    while step < size:
        step *= 2
    return max(size, min(step, SEGMENT_BYTES))


def opened(directory: Path, owner: str, megabytes: int) -> Spool | None:
    """Return a spool in `directory`; None, and a line in the log, if no file can be created there."""
    return Spool(directory, owner, megabytes * 1_000_000) if megabytes and is_usable(directory) else None
