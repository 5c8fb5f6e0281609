"""Receiving, checking, storing and reading documents."""

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

from admin_web.documents.directory import Directory, translated_errors
from admin_web.documents.extent import Extent, extent_of
from admin_web.documents.faults import (
    DocumentDamaged,
    DocumentMissing,
    DocumentNotKept,
    DocumentsUnavailable,
    DocumentTooLarge,
    EmptyDocument,
)
from admin_web.documents.kinds import require_content, require_name
from admin_web.documents.shelf import Shelf
from admin_web.settings import AdminSettings
from compliance.settings import SettingsError

PIECE = 256 * 1024
LONGEST_NAME = 255
ARRIVING = "arriving-"

EXTENT_S = 3.0
"""Seconds that reading the extent of a document may take, while a page waits for it."""

MOST_EXTENTS = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored document: the SHA-256 of its content (64 hex digits), name, media type, and size in bytes."""

    sha256: str
    name: str
    media_type: str
    size: int
    shelf: Shelf | None = field(default=None, repr=False, compare=False)

    async def require_there(self) -> None:
        """Raise DocumentNotKept when the document has been removed since it was stored."""
        if self.shelf is not None and not await self.shelf.holds(self.sha256):
            raise DocumentNotKept(f"“{self.name}” was removed before it was recorded. Upload it again.")


class DocumentStore:
    """Documents of at most `most` bytes.

    They are received in `directory`, and kept on `shelf` or, without one, in `directory`.
    """

    def __init__(self, directory: Path, most: int, shelf: Shelf | None = None) -> None:
        self.directory = directory
        self.most = most
        self.shelf: Shelf = shelf or Directory(directory)
        # The content with a given SHA-256 never changes, so each document is read once per process.
        self._extents: dict[str, Extent | None] = {}

    async def keep(self, pieces: AsyncIterable[bytes], name: str, media_type: str = "") -> Kept:
        """Store a document while it arrives. Raises DocumentNotKept, and whatever `pieces` raises.

        The content must match the kind of file that the name indicates. `media_type` is what the sender claims. It
        proves nothing, but a document is refused if it claims a different accepted kind. On return the document and its
        directory entries are on disk, under the SHA-256 of the content. Nothing remains of a refused or interrupted
        document. If the same content is stored twice, there is one file.
        """
        shown = plain_name(name)
        named = require_name(shown)
        with self._arriving() as (file, arriving):
            sha256, size = await self._write(file, pieces)
            await asyncio.to_thread(require_content, shown, named, file, media_type)
            with translated_errors(self.directory):
                await asyncio.to_thread(os.fsync, file.fileno())
            await self.shelf.put(arriving, sha256)
        return Kept(sha256, shown, named.media_type, size, self.shelf)

    @asynccontextmanager
    async def opened(self, sha256: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the pieces of a document, after checking its whole content against its SHA-256.

        Raises DocumentMissing, DocumentDamaged, DocumentsUnavailable.
        """
        file = await self.shelf.fetch(sha256)
        try:
            found = await asyncio.to_thread(_sha256_of, file)
            if found != sha256:
                raise DocumentDamaged(f"Its SHA-256 is {found}, but {sha256} is on record.")
            yield _pieces(file)
        finally:
            file.close()

    async def extent(self, sha256: str, media_type: str) -> Extent | None:
        """Return a document's pages or pixels; None if they are unknown, or if it cannot be read within `EXTENT_S`."""
        if sha256 not in self._extents:
            try:
                async with asyncio.timeout(EXTENT_S):
                    with await self.shelf.fetch(sha256) as file:
                        found = await asyncio.to_thread(extent_of, file, media_type)
            except (DocumentMissing, DocumentsUnavailable, TimeoutError):
                return None
            if len(self._extents) >= MOST_EXTENTS:
                self._extents.clear()
            self._extents[sha256] = found
        return self._extents[sha256]

    async def forget_arrivals(self, before: datetime) -> None:
        """Remove partial files that a crash left, if they are older than `before` (aware UTC)."""
        with translated_errors(self.directory):
            await asyncio.to_thread(_unlink_older, self.directory, before.timestamp())

    @contextmanager
    def _arriving(self) -> Iterator[tuple[BinaryIO, Path]]:
        with translated_errors(self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, path = tempfile.mkstemp(prefix=ARRIVING, dir=self.directory)
        try:
            with open(descriptor, "w+b", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
                yield file, Path(path)
        finally:
            Path(path).unlink(missing_ok=True)

    async def _write(self, file: BinaryIO, pieces: AsyncIterable[bytes]) -> tuple[str, int]:
        """Write all pieces. Returns their SHA-256 (hex) and their size in bytes."""
        digest, size = hashlib.sha256(), 0
        async for piece in pieces:
            size += len(piece)
            if size > self.most:
                raise DocumentTooLarge(f"The document is larger than {self.most / 1_000_000:g} MB.")
            digest.update(piece)
            with translated_errors(self.directory):
                await asyncio.to_thread(_write_whole, file, piece)
        if not size:
            raise EmptyDocument("The document is empty.")
        return digest.hexdigest(), size


def documents_of(settings: AdminSettings) -> DocumentStore:
    """Return the document store of the settings. No file or connection is opened yet. Raises SettingsError."""
    directory = settings.data_dir / "documents"
    return DocumentStore(directory, settings.document_bytes, _bucket(settings.documents_url, directory))


def _bucket(url: str, spool: Path) -> Shelf | None:
    """Return the bucket at `url`; None when the URL is empty."""
    if not url:
        return None
    try:  # obstore is an optional dependency, so it is imported only where a bucket is configured.
        from admin_web.documents.bucket import s3_bucket  # noqa: PLC0415
    except ImportError:
        raise SettingsError("DNC_DOCUMENTS_URL: install dnc-gate[s3] to keep documents in a bucket") from None
    return s3_bucket(url, spool)


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """Yield a local file in pieces. Raises OSError."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


def plain_name(name: str) -> str:
    """Return the last part of a file name, without unprintable characters, cut to 255 characters before its ending.

    The result is shown to people. It is never used to open a file.
    """
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
    """Write one piece to an unbuffered file, whose `write` may accept only a part of it."""
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _unlink_older(directory: Path, moment: float) -> None:
    for path in directory.glob(f"{ARRIVING}*"):
        if path.stat().st_mtime < moment:
            path.unlink(missing_ok=True)
