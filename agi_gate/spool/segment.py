"""One file of decisions on disk, which one process holds locked: append, read, create, lock and delete it.

A line is a decision as JSON. It is not synced to the disk: it survives the end of the process, not that of the machine.
"""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from compliance.redis_records import DECISION_FIELDS, decision_values, read_decision
from compliance.verdict import Decision

_NAMES = [name.encode() for name in (*DECISION_FIELDS, "campaign")]


@dataclass(slots=True)
class Segment:
    """A file of decisions that this process has locked. `loaded` says whether memory has all its decisions too."""

    path: Path
    descriptor: int
    loaded: bool
    size: int = 0
    decisions: int = 0
    _noted: bool = False

    @property
    def is_deleted(self) -> bool:
        """Whether somebody has deleted the file, so that the end of this process would lose it."""
        return os.fstat(self.descriptor).st_nlink == 0

    def append(self, line: bytes) -> None:
        """Append a line. Raises OSError; the next append then overwrites what was written."""
        if self._noted:
            os.ftruncate(self.descriptor, self.size)
            self._noted = False
        if os.pwrite(self.descriptor, line, self.size) < len(line):
            raise OSError("the disk took only a part of a decision")
        self.size += len(line)
        self.decisions += 1

    def note(self, line: bytes) -> None:
        """Write a line behind the last one. Whatever is written next replaces it. Raises OSError."""
        os.ftruncate(self.descriptor, self.size)
        self._noted = True
        os.pwrite(self.descriptor, line, self.size)

    def remove(self) -> None:
        """Delete the file. Raises OSError; the file then stays locked, or a gate would record it again and again."""
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Unlock the file, so that another gate adopts it."""
        os.close(self.descriptor)


class Found(NamedTuple):
    """Decisions from disk, and the number of lines that cannot be read, such as one that a kill cut short.

    `written_at` is when the file was last written, in seconds since 1970 UTC.
    """

    decisions: list[Decision]
    unreadable: int = 0
    written_at: float = 0.0


def encode(decision: Decision) -> bytes:
    """Encode a decision as a line."""
    return json.dumps([*decision_values(decision), decision.campaign], separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Decision:
    """Parse a line that `encode` made. Raises ValueError or KeyError for any other."""
    values = json.loads(line)
    return read_decision(dict(zip(_NAMES, (str(value).encode() for value in values), strict=True)))


def read(descriptor: int, size: int) -> Found:
    """Return the decisions in the first `size` bytes of a file. Raises OSError."""
    lines = os.pread(descriptor, size, 0).split(b"\n")
    decisions: list[Decision] = []
    unreadable = 0
    for line in filter(None, lines):
        try:
            decisions.append(decode(line))
        except (ValueError, KeyError, TypeError, RecursionError):
            unreadable += 1
    return Found(decisions, unreadable, os.fstat(descriptor).st_mtime)


def create(path: Path, *, loaded: bool) -> Segment:
    """Create and lock a file that only this user may read. Raises OSError.

    Raises BlockingIOError or FileNotFoundError if another gate has seen the empty file before it was locked. That gate
    deletes it as the file of a dead process.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    segment = Segment(path, descriptor, loaded)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if segment.is_deleted:
            raise FileNotFoundError(f"{path} was deleted")
    except OSError:
        segment.release()
        raise
    return segment


def lock(path: Path) -> Segment | None:
    """Open and lock a file; return None if its process lives, or if it is gone."""
    with suppress(FileNotFoundError):
        # A spool contains no links, so whoever puts one there cannot have another file read.
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another gate may have read and deleted the file before we had the lock.
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return Segment(path, descriptor, loaded=True)
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
    return None
