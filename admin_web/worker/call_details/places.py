"""Read positions in the CDR file, which survive its rotation, compression, truncation and replacement."""

import gzip
import hashlib
import lzma
import os
import re
import stat
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from admin_web.worker.call_details.cutting import begins_record

HEAD = 4096
"""A file is identified by the hash of at most this many bytes at its start. Only bytes that were read are hashed."""

SETTLED_S = 5.0
"""Seconds without a write after which a rotated file counts as finished."""

_DATED = re.compile(r"[._-][0-9]")
"""Start of what logrotate puts before the extension: `DncGate-20270101.csv` (its directive `extension`)."""

_COMPRESSED: Mapping[bytes, Callable[[BinaryIO], object]] = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open}
"""How to open a compressed file, by its first two bytes."""

_COMPRESSED_NAMES = (".gz", ".xz")
_TORN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What a compressed file raises that is incomplete or damaged."""


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

    `known` is False when no file matches the requested position; the data is then from the start of the oldest file.
    `following` is set at the end of a finished rotated file: it is the position from which to continue in the next
    file.
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
    """The file at `path`, and the files that it was rotated to, whatever their suffix is."""

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
            found = _part_at(file, place, most, files[older + 1 :])
            if found is not None:
                return found
        plain = [file for file in files if file == self._path or _is_plain_cdr(file)]
        if not plain:
            return None
        with plain[0].open("rb") as oldest:
            return _read(oldest, ReadPosition(), most, plain[1:], known=False)

    def _files(self) -> list[Path]:
        """Return the rotated files, oldest first, and then the one at the path."""
        beside = list(self._path.parent.iterdir()) if self._path.parent.is_dir() else []
        names = {path.name for path in beside}
        rotated = [path for path in beside if self._is_rotated(path.name, names) and _regular(path)]
        rotated.sort(key=lambda path: path.stat().st_mtime_ns)
        return [*rotated, self._path] if _regular(self._path) else rotated

    def _is_rotated(self, name: str, beside: set[str]) -> bool:
        # While a file is being compressed, the complete original still exists.
        if any(name.endswith(suffix) and name.removesuffix(suffix) in beside for suffix in _COMPRESSED_NAMES):
            return False
        whole, stem = self._path.name, self._path.stem
        return (name != whole and name.startswith(whole)) or bool(
            name.startswith(stem) and _DATED.match(name, len(stem)) and self._path.suffix in name[len(stem) :]
        )


def _regular(path: Path) -> bool:
    """Return whether the path is a regular file. Opening a named pipe would block until a process writes to it."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file; of a compressed one, open the content."""
    with path.open("rb") as file:
        opener = _COMPRESSED.get(file.read(2))
        file.seek(0)
        yield cast("IO[bytes]", opener(file)) if opener else file


def _begins_record(path: Path) -> bool:
    """Return whether a file begins with a call-detail record, so that it is a rotated file and not a foreign one."""
    try:
        with _opened(path) as file:
            return begins_record(file.read(HEAD))
    except _TORN:
        return False


def _is_plain_cdr(path: Path) -> bool:
    with path.open("rb") as file:
        return begins_record(file.read(HEAD))


def _part_at(path: Path, place: ReadPosition, most: int, newer: list[Path]) -> FilePart | None:
    """Read from a position in one file; return None if the position is not in this file."""
    try:
        with _opened(path) as file:
            return _read(file, place, most, newer, known=True) if _is_at(file, place) else None
    except _TORN:
        return None


def _is_at(file: IO[bytes], place: ReadPosition) -> bool:
    if place.position == 0:
        return os.fstat(file.fileno()).st_ino == place.inode
    if _digest(file.read(HEAD), place.position) != place.head:
        return False
    file.seek(place.position - 1)
    return file.read(1) != b""


def _read(file: IO[bytes], place: ReadPosition, most: int, newer: list[Path], *, known: bool) -> FilePart:
    about = os.fstat(file.fileno())
    file.seek(0)
    beginning = file.read(HEAD)
    file.seek(place.position)
    data = file.read(most)
    finished = len(data) < most and time.time() - about.st_mtime > SETTLED_S
    following = _following(newer) if finished else None
    return FilePart(about.st_ino, place.position, beginning, data, known, following)


def _following(newer: list[Path]) -> ReadPosition | None:
    """Return the start of the next file: the oldest one of call-detail records, or the newest, which may be empty."""
    files = [*filter(_begins_record, newer[:-1]), *newer[-1:]]
    return ReadPosition(files[0].stat().st_ino) if files else None


def _digest(beginning: bytes, position: int) -> str:
    return hashlib.sha256(beginning[:position]).hexdigest() if position else ""
