"""Documents as they arrive and as they are given out again."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from admin_web.documents.directory import Directory, reaching
from admin_web.documents.faults import DocumentDamaged, DocumentNotKept, DocumentTooLarge, EmptyDocument
from admin_web.documents.kinds import require_content, require_name
from admin_web.documents.shelf import Shelf
from admin_web.settings import AdminSettings
from compliance.settings import SettingsError

PIECE = 256 * 1024
LONGEST_NAME = 255
ARRIVING = "arriving-"


@dataclass(frozen=True, slots=True)
class Kept:
    """A document that is kept: the SHA-256 of its content (64 hex digits), its media type, its size in bytes."""

    sha256: str
    name: str
    media_type: str
    size: int
    shelf: Shelf | None = field(default=None, repr=False, compare=False)

    async def require_there(self) -> None:
        """Raise DocumentNotKept when the document was taken away since it was kept."""
        if self.shelf is not None and not await self.shelf.holds(self.sha256):
            raise DocumentNotKept(f"“{self.name}” was taken away before it came on record; upload it again.")


class DocumentStore:
    """Documents of at most `most` bytes, arriving in `directory` and kept on `shelf`, else in that directory."""

    def __init__(self, directory: Path, most: int, shelf: Shelf | None = None) -> None:
        self.directory = directory
        self.most = most
        self.shelf: Shelf = shelf or Directory(directory)

    async def keep(self, pieces: AsyncIterable[bytes], name: str, media_type: str = "") -> Kept:
        """Write a document as it arrives, if it is what its name says. Raises DocumentNotKept, and what `pieces` does.

        `media_type` is what the sender calls it: never believed, and refused when it names another accepted kind.
        When this returns, the document is on disk, directory entries too, under the SHA-256 of its content. What was
        refused or cut short leaves nothing; the same content twice is one file.
        """
        shown = plain_name(name)
        named = require_name(shown)
        with self._arriving() as (file, arriving):
            sha256, size = await self._write(file, pieces)
            await asyncio.to_thread(require_content, shown, named, file, media_type)
            with reaching(self.directory):
                await asyncio.to_thread(os.fsync, file.fileno())
            await self.shelf.put(arriving, sha256)
        return Kept(sha256, shown, named.media_type, size, self.shelf)

    @asynccontextmanager
    async def opened(self, sha256: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give a document in pieces, none of them before its whole content was found to be what its name says.

        Raises DocumentMissing, DocumentDamaged, DocumentsUnavailable.
        """
        file = await self.shelf.fetch(sha256)
        try:
            found = await asyncio.to_thread(_sha256_of, file)
            if found != sha256:
                raise DocumentDamaged(f"Its SHA-256 is {found}; on record is {sha256}.")
            yield _pieces(file)
        finally:
            file.close()

    async def forget_arrivals(self, before: datetime) -> None:
        """Take away what was cut short by a crash before `before` (aware UTC)."""
        with reaching(self.directory):
            await asyncio.to_thread(_unlink_older, self.directory, before.timestamp())

    @contextmanager
    def _arriving(self) -> Iterator[tuple[BinaryIO, Path]]:
        with reaching(self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, path = tempfile.mkstemp(prefix=ARRIVING, dir=self.directory)
        try:
            with open(descriptor, "w+b", buffering=0) as file:  # noqa: PTH123 - it is a descriptor, not a path
                yield file, Path(path)
        finally:
            Path(path).unlink(missing_ok=True)

    async def _write(self, file: BinaryIO, pieces: AsyncIterable[bytes]) -> tuple[str, int]:
        """Write all pieces; give their SHA-256 and their size."""
        digest, size = hashlib.sha256(), 0
        async for piece in pieces:
            size += len(piece)
            if size > self.most:
                raise DocumentTooLarge(f"The document is larger than {self.most / 1_000_000:g} MB.")
            digest.update(piece)
            with reaching(self.directory):
                await asyncio.to_thread(_write_whole, file, piece)
        if not size:
            raise EmptyDocument("The document is empty.")
        return digest.hexdigest(), size


def documents_of(settings: AdminSettings) -> DocumentStore:
    """Give the place where the settings have documents kept. Opens nothing. Raises SettingsError."""
    directory = settings.data_dir / "documents"
    return DocumentStore(directory, settings.document_bytes, _bucket(settings.documents_url, directory))


def _bucket(url: str, spool: Path) -> Shelf | None:
    """Give the bucket of a URL; none for none. Its library is loaded only by who has a bucket."""
    if not url:
        return None
    try:
        from admin_web.documents.bucket import s3_bucket  # noqa: PLC0415
    except ImportError:
        raise SettingsError("DNC_DOCUMENTS_URL: install dnc-gate[s3] to keep documents in a bucket") from None
    return s3_bucket(url, spool)


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """Read a file of this machine in pieces. Raises OSError."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def plain_name(name: str) -> str:
    """Give the last part of a file name, printable, at most 255 characters, its ending kept; shown, never opened."""
    last = PurePosixPath(name.replace("\\", "/")).name
    shown = PurePosixPath("".join(character for character in last if character.isprintable()).strip())
    ending = shown.suffix[:LONGEST_NAME]
    kept = shown.stem[: LONGEST_NAME - len(ending)] + ending
    return kept if kept.strip(". ") else "document"


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, PIECE):
        yield piece


def _sha256_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()


def _write_whole(file: BinaryIO, piece: bytes) -> None:
    """Write one piece to an unbuffered file, which may take less at a time."""
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _unlink_older(directory: Path, moment: float) -> None:
    for path in directory.glob(f"{ARRIVING}*"):
        if path.stat().st_mtime < moment:
            path.unlink(missing_ok=True)
