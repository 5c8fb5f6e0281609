"""Documents in a directory of this machine, readable by its owner alone."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from admin_web.documents.faults import DocumentMissing, DocumentsUnavailable
from admin_web.documents.shelf import PLACE, place


class Directory:
    """A Shelf below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Give the place of a document."""
        return self.root / place(sha256)

    async def put(self, arrived: Path, sha256: str) -> None:
        """Put the file under its final name, in one step, and that step on disk."""
        with reaching(self.root):
            await asyncio.to_thread(_move, arrived, self.path(sha256))

    async def fetch(self, sha256: str) -> BinaryIO:
        """Open a document at its beginning."""
        with reaching(self.root):
            try:
                return await asyncio.to_thread(self.path(sha256).open, "rb")
            except FileNotFoundError:
                raise DocumentMissing(f"There is no file {place(sha256)} in {self.root}.") from None

    async def holds(self, sha256: str) -> bool:
        """Tell whether a document is there."""
        with reaching(self.root):
            return await asyncio.to_thread(self.path(sha256).is_file)

    async def remove(self, sha256: str) -> None:
        """Take a document away."""
        with reaching(self.root):
            await asyncio.to_thread(self.path(sha256).unlink, missing_ok=True)

    async def kept_before(self, moment: datetime) -> AsyncIterator[str]:
        """Name the documents that were put before `moment`, one directory read at a time."""
        with reaching(self.root):
            for drawer in await asyncio.to_thread(_listed, self.root):
                for path in await asyncio.to_thread(_files_before, drawer, moment.timestamp()):
                    if PLACE.fullmatch(f"{drawer.name}/{path.name}"):
                        yield drawer.name + path.name


@contextmanager
def reaching(root: Path) -> Iterator[None]:
    """Name the directory when it cannot be used. Raises DocumentsUnavailable."""
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


def _listed(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_dir()) if directory.exists() else []


def _files_before(directory: Path, moment: float) -> list[Path]:
    return [path for path in directory.iterdir() if path.is_file() and path.stat().st_mtime < moment]
