"""Storage of uploaded sheets. A sheet is complete on disk before a job uses it, and is deleted when no job needs it."""

import asyncio
import json
import os
import re
import secrets
from collections.abc import AsyncIterable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

import structlog

from admin_web.documents.store import plain_name
from admin_web.lists.sheet import Sheet
from admin_web.settings import AdminSettings
from compliance.refusal import Refused

log = structlog.get_logger()

ARRIVING = "arriving-"
REPORT = ".rejected.csv"

SHEET_S = 24 * 3600.0
"""How long a sheet without an open job is kept, in seconds, so that its uploader can look at the preview."""

REPORT_S = 90 * 24 * 3600.0
"""How long the report of rejected rows is kept, in seconds."""

_TOKEN = re.compile(r"[0-9a-f]{32}")


class SheetNotKept(Refused):
    """A sheet is not stored, because it is empty, too large, or cannot be written."""


class UnknownSheet(Refused):
    """The sheet does not exist, or was deleted."""


@dataclass(frozen=True, slots=True)
class KeptSheet:
    """A stored sheet: `token` is its random file name, `name` its original name, `lines` its approximate length.

    `registry` is the registry that it was uploaded for, or empty.
    """

    token: str
    name: str
    kind: str
    by: str
    lines: int
    registry: str = ""


class SheetStore:
    """Sheets of at most `most` bytes in `directory`, each with a file of metadata, and their reports.

    `instead` tells the uploader what to do with a larger sheet.
    """

    def __init__(self, directory: Path, most: int, instead: str = "split it") -> None:
        self.directory = directory
        self.most = most
        self._instead = instead

    @classmethod
    def of(cls, settings: AdminSettings) -> Self:
        """Return the store for imports from the settings. Does no I/O."""
        return cls(settings.data_dir / "imports", settings.import_bytes)

    @classmethod
    def of_registries(cls, settings: AdminSettings) -> Self:
        """Return the store for registries, whose files may be larger. Does no I/O."""
        instead = "import it on the server, with dnc-admin import"
        return cls(settings.data_dir / "imports", settings.registry_bytes, instead)

    async def keep(self, pieces: AsyncIterable[bytes], name: str, kind: str, by: str, registry: str = "") -> KeptSheet:
        """Store a sheet from a stream, for an import of that kind. Raises SheetNotKept, and what `pieces` raises.

        On return, the file and its directory entry are on disk. An interrupted upload leaves nothing behind.
        """
        token = secrets.token_hex(16)
        arriving = self.directory / f"{ARRIVING}{token}"
        try:
            with self._writing():
                self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                with arriving.open("wb") as file:
                    lines = await self._write(file, pieces)
                    await asyncio.to_thread(_to_disk, file)
            kept = KeptSheet(token, plain_name(name), kind, by, lines, registry)
            with self._writing():
                await asyncio.to_thread(self._settle, arriving, kept)
        finally:
            arriving.unlink(missing_ok=True)
        return kept

    def find(self, token: str) -> KeptSheet:
        """Return the metadata of a sheet. Raises UnknownSheet."""
        try:
            return KeptSheet(**json.loads(self._note(_known(token)).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise UnknownSheet("This file was uploaded too long ago and has been deleted; upload it again.") from None

    def open(self, kept: KeptSheet) -> Sheet:
        """Open a sheet. Raises UnknownSheet, NotASheet."""
        path = self.path(kept)
        stream = path.open("rb")
        try:
            return Sheet(stream, kept.name, path.stat().st_size)
        except BaseException:
            stream.close()
            raise

    def path(self, kept: KeptSheet) -> Path:
        """Return the path of a sheet. Raises UnknownSheet."""
        path = self._sheet(_known(kept.token))
        if not path.exists():
            raise UnknownSheet("The uploaded file no longer exists; upload it again.")
        return path

    def discard(self, kept: KeptSheet) -> None:
        """Delete a sheet; its report stays."""
        for path in (self._sheet(_known(kept.token)), self._note(kept.token)):
            path.unlink(missing_ok=True)

    def report(self, token: str) -> Path:
        """Return the path of the report of a sheet's rejected rows. Raises UnknownSheet."""
        return self.directory / f"{_known(token)}{REPORT}"

    def sweep(self, wanted: Collection[str], at: datetime) -> int:
        """Delete files that are old at `at` (aware UTC), except those of `wanted` tokens. Return how many."""
        old = [path for path in self._files() if _age_s(path, at) > (REPORT_S if _is_report(path) else SHEET_S)]
        gone = [path for path in old if path.name.removeprefix(ARRIVING).split(".")[0] not in wanted]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _files(self) -> list[Path]:
        return list(self.directory.iterdir()) if self.directory.exists() else []

    async def _write(self, file: BinaryIO, pieces: AsyncIterable[bytes]) -> int:
        """Write all chunks. Return the approximate number of lines."""
        size, lines = 0, 1
        async for piece in pieces:
            size += len(piece)
            lines += piece.count(b"\n")
            if size > self.most:
                raise SheetNotKept(f"The file is larger than {self.most / 1_000_000:g} MB; {self._instead}.")
            await asyncio.to_thread(file.write, piece)
        if not size:
            raise SheetNotKept("The file is empty.")
        return lines

    def _settle(self, arriving: Path, kept: KeptSheet) -> None:
        """Write the metadata, rename the sheet to its final name, and sync both to disk."""
        with self._note(kept.token).open("wb") as note:
            note.write(json.dumps(asdict(kept)).encode())
            _to_disk(note)
        arriving.replace(self._sheet(kept.token))
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _sheet(self, token: str) -> Path:
        return self.directory / f"{token}.sheet"

    def _note(self, token: str) -> Path:
        return self.directory / f"{token}.json"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            log.error("uploaded file not stored", directory=str(self.directory), why=str(error))
            raise SheetNotKept("The file cannot be stored at the moment, so nothing was imported.") from error


def _is_report(path: Path) -> bool:
    return path.name.endswith(REPORT)


def _age_s(path: Path, at: datetime) -> float:
    try:
        return at.timestamp() - path.stat().st_mtime
    except FileNotFoundError:  # The file has just been renamed or deleted.
        return 0.0


def _known(token: str) -> str:
    """Return the token unchanged. Raises UnknownSheet for an invalid one, because it becomes part of a path."""
    if not _TOKEN.fullmatch(token):
        raise UnknownSheet("There is no such file.")
    return token


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
