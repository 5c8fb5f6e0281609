"""Where the reading of the CDR file stands, and goes on, also when the file was rotated, cut short or replaced."""

import hashlib
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

HEAD = 4096
"""Bytes at the beginning of a file, as far as they were read, by which it is known again."""

SETTLED_S = 5.0
"""How long nobody must have written to a rotated file before it is left for the next one."""

_ROTATED = re.compile(r"[.-][0-9]{1,14}", re.ASCII)
"""What is put behind a file's name when it is rotated: `.1`, `-20270101`."""


class CdrFileUnreadable(Exception):
    """The operating system does not let us read the file; the message says why."""


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """How far a file was read: its inode, how many bytes, and the SHA-256 of the first of them (hex).

    Inodes are given again, and a file may be emptied and filled anew: what was read once is known by its content.
    """

    inode: int = 0
    position: int = 0
    head: str = ""


@dataclass(frozen=True, slots=True)
class FilePart:
    """What stands behind a place: the first bytes of its file, and some from the place on.

    `known` is False when no file was at the place that was asked for. `following` is where to go on behind the last
    byte of a file that was rotated and is written no more.
    """

    inode: int
    position: int
    beginning: bytes
    data: bytes
    known: bool
    following: ReadPosition | None

    def after(self, consumed: int) -> ReadPosition:
        """Give the place that many bytes on."""
        position = self.position + consumed
        return ReadPosition(self.inode, position, _digest(self.beginning, position))


class OpenCdrFile:
    """The file at `path`, and those that it was renamed to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def part(self, place: ReadPosition, most: int) -> FilePart | None:
        """Give what stands behind a place, `most` bytes at once; None while there is no file.

        Behind a place that no file knows stands everything: a record that was read before is known by its ids.
        Raises CdrFileUnreadable.
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
        """Give the rotated files, the oldest first, and then the one at the path."""
        name = self._path.name
        beside = self._path.parent.glob(f"{name}?*") if self._path.parent.is_dir() else ()
        rotated = [path for path in beside if _ROTATED.fullmatch(path.name[len(name) :]) and _regular(path)]
        rotated.sort(key=lambda path: path.stat().st_mtime_ns)
        return [*rotated, self._path] if _regular(self._path) else rotated


def _regular(path: Path) -> bool:
    """Tell whether it is there, and a file: opening a pipe would wait for whoever writes to it."""
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
