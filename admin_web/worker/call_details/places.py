"""Read positions in the CDR file, which survive its rotation, truncation and replacement."""

import hashlib
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

HEAD = 4096
"""A file is identified by the hash of at most this many bytes at its start. Only bytes that were read are hashed."""

SETTLED_S = 5.0
"""Seconds without a write after which a rotated file counts as finished."""

_ROTATED = re.compile(r"[.-][0-9]{1,14}", re.ASCII)
"""Suffix of a rotated file's name: `.1`, `-20270101`."""


class CdrFileUnreadable(Exception):
    """The operating system refuses to read the file; the message says why."""


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """How far a file was read: its inode, the offset in bytes, and the SHA-256 of its first bytes (hex).

    Inodes are reused, and a file may be truncated and refilled, so the hash of its content identifies a file.
    """

    inode: int = 0
    position: int = 0
    head: str = ""


@dataclass(frozen=True, slots=True)
class FilePart:
    """Data read from a position: `beginning` is the start of the file, `data` the bytes after the position.

    `known` is False when no file matches the requested position. `following` is set at the end of a finished rotated
    file: it is the position from which to continue in the next file.
    """

    inode: int
    position: int
    beginning: bytes
    data: bytes
    known: bool
    following: ReadPosition | None

    def after(self, consumed: int) -> ReadPosition:
        """Return the position after `consumed` more bytes."""
        position = self.position + consumed
        return ReadPosition(self.inode, position, _digest(self.beginning, position))


class OpenCdrFile:
    """The file at `path`, and the files that it was rotated to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def part(self, place: ReadPosition, most: int) -> FilePart | None:
        """Read up to `most` bytes after a position; return None while there is no file.

        If no file matches the position, read from the start. Records that were imported before are recognised by their
        ids. Raises CdrFileUnreadable.
        """
        try:
            return self._part(place, most)
        except OSError as error:
            raise CdrFileUnreadable(f"{error.filename or self._path}: {error.strerror}") from None

    def _part(self, place: ReadPosition, most: int) -> FilePart | None:
        files = self._files()
        for older, file in reversed(list(enumerate(files))):
            with file.open("rb") as opened:
                if _is_at(opened, place):
                    return _part(opened, place, most, files[older + 1 :], known=True)
        if not files:
            return None
        with files[0].open("rb") as opened:
            return _part(opened, ReadPosition(), most, files[1:], known=False)

    def _files(self) -> list[Path]:
        """Return the rotated files, oldest first, and then the one at the path."""
        name = self._path.name
        beside = self._path.parent.glob(f"{name}?*") if self._path.parent.is_dir() else ()
        rotated = [path for path in beside if _ROTATED.fullmatch(path.name[len(name) :]) and _regular(path)]
        rotated.sort(key=lambda path: path.stat().st_mtime_ns)
        return [*rotated, self._path] if _regular(self._path) else rotated


def _regular(path: Path) -> bool:
    """Return whether the path is a regular file. Opening a named pipe would block until a process writes to it."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def _is_at(file: BinaryIO, place: ReadPosition) -> bool:
    about = os.fstat(file.fileno())
    if place.position == 0:
        return about.st_ino == place.inode
    return about.st_size >= place.position and _digest(file.read(HEAD), place.position) == place.head


def _part(file: BinaryIO, place: ReadPosition, most: int, newer: list[Path], *, known: bool) -> FilePart:
    about = os.fstat(file.fileno())
    file.seek(0)
    beginning = file.read(HEAD)
    file.seek(place.position)
    data = file.read(most)
    left = len(data) < most and newer and time.time() - about.st_mtime > SETTLED_S
    following = ReadPosition(newer[0].stat().st_ino) if left else None
    return FilePart(about.st_ino, place.position, beginning, data, known, following)


def _digest(beginning: bytes, position: int) -> str:
    return hashlib.sha256(beginning[:position]).hexdigest() if position else ""
