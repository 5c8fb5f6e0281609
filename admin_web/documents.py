"""Consent documents: kept by their content, whole and on disk before anything on record points at them."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

PIECE = 256 * 1024
LONGEST_NAME = 255
LONGEST_MEDIA_TYPE = 100


class DocumentNotKept(Exception):
    """A document is empty, too large, or cannot be written; the message is one sentence that helps."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A document on disk: the SHA-256 of its content (64 hex digits) and its size in bytes."""

    sha256: str
    name: str
    media_type: str
    size: int


class DocumentStore:
    """The documents below `directory`, each at `ab/cdef…`, the SHA-256 of its content, of at most `most` bytes."""

    def __init__(self, directory: Path, most: int) -> None:
        self.directory = directory
        self.most = most

    def path(self, sha256: str) -> Path:
        """Give the place of a document."""
        return self.directory / sha256[:2] / sha256[2:]

    async def keep(self, pieces: AsyncIterable[bytes], name: str, media_type: str) -> Kept:
        """Write a document as it arrives. Raises DocumentNotKept, and whatever `pieces` raises.

        When this returns, content and directory entries are on disk under the final name. A document that was cut
        short leaves nothing there; the same content twice is one file.
        """
        digest, size = hashlib.sha256(), 0
        with self._writing():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, arriving = tempfile.mkstemp(prefix="arriving-", dir=self.directory)
        try:
            with open(descriptor, "wb") as file:  # noqa: ASYNC230, PTH123 - opening a descriptor waits for nothing
                async for piece in pieces:
                    size += len(piece)
                    if size > self.most:
                        raise DocumentNotKept(f"The document is larger than {self.most:,} bytes.")
                    digest.update(piece)
                    with self._writing():
                        await asyncio.to_thread(file.write, piece)
                if not size:
                    raise DocumentNotKept("The document is empty.")
                with self._writing():
                    await asyncio.to_thread(_to_disk, file)
                    await asyncio.to_thread(_move, Path(arriving), self.path(digest.hexdigest()))
        finally:
            Path(arriving).unlink(missing_ok=True)  # noqa: ASYNC240 - one quick call
        return Kept(digest.hexdigest(), plain_name(name), media_type[:LONGEST_MEDIA_TYPE], size)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DocumentNotKept(f"The document cannot be kept in {self.directory}: {error.strerror}.") from error


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """Read a file of this machine in pieces. Raises OSError."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def plain_name(name: str) -> str:
    """Give the last part of a file name, printable, at most 255 characters; it is shown, never opened."""
    last = PurePosixPath(name.replace("\\", "/")).name
    shown = "".join(character for character in last if character.isprintable())[:LONGEST_NAME]
    return shown if shown.strip(". ") else "document"


def _move(source: Path, target: Path) -> None:
    """Put a file under its final name, in one step, and that step on disk."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    source.replace(target)
    for directory in (target.parent, target.parent.parent):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
