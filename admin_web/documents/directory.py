"""Documents in a directory of this machine that only its owner can read."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from admin_web.documents.faults import DocumentMissing, DocumentsUnavailable
from admin_web.documents.shelf import RELATIVE_PATH, relative_path


class Directory:
    """A Shelf in the directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Return the path of a document."""
        return self.root / relative_path(sha256)

    async def put(self, arrived: Path, sha256: str) -> None:
        """Rename the file to its final name in one step, and flush the directory entries to disk."""
        with translated_errors(self.root):
            await asyncio.to_thread(_move, arrived, self.path(sha256))

    async def fetch(self, sha256: str) -> BinaryIO:
        """Open a document at its beginning."""
        with translated_errors(self.root):
            try:
                return await asyncio.to_thread(self.path(sha256).open, "rb")
            except FileNotFoundError:
                raise DocumentMissing(f"There is no file {relative_path(sha256)} in {self.root}.") from None

    async def holds(self, sha256: str) -> bool:
        """Return whether a document exists."""
        with translated_errors(self.root):
            return await asyncio.to_thread(self.path(sha256).is_file)

    async def remove(self, sha256: str) -> None:
        """Remove a document."""
        with translated_errors(self.root):
            await asyncio.to_thread(self.path(sha256).unlink, missing_ok=True)

    async def kept_before(self, moment: datetime) -> AsyncIterator[str]:
        """Yield the documents that were stored before `moment`. One subdirectory is read at a time."""
        with translated_errors(self.root):
            for subdirectory in await asyncio.to_thread(_subdirectories, self.root):
                for path in await asyncio.to_thread(_files_before, subdirectory, moment.timestamp()):
                    if RELATIVE_PATH.fullmatch(f"{subdirectory.name}/{path.name}"):
                        yield subdirectory.name + path.name


@contextmanager
def translated_errors(root: Path) -> Iterator[None]:
    """Turn errors of the file system into DocumentsUnavailable; the message names the directory."""
    try:
        yield
    except OSError as error:
        raise DocumentsUnavailable(f"Documents cannot be kept or read in {root}: {error.strerror}.") from error


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    source.replace(target)
    for directory in (target.parent, target.parent.parent):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _subdirectories(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_dir()) if directory.exists() else []


def _files_before(directory: Path, moment: float) -> list[Path]:
    return [path for path in directory.iterdir() if path.is_file() and path.stat().st_mtime < moment]
