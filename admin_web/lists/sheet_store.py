"""Uploaded sheets on their way in: whole and on disk before a job names them, taken away when none does any more."""

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

from admin_web.documents.store import plain_name
from admin_web.lists.sheet import Sheet
from admin_web.settings import AdminSettings
from compliance.refusal import Refused

ARRIVING = "arriving-"
REPORT = ".rejected.csv"

SHEET_S = 24 * 3600.0
"""How long a sheet is kept that no open job names: a person looks at its preview, or has gone home."""

REPORT_S = 90 * 24 * 3600.0
"""How long the report of rejected rows can be downloaded."""

_TOKEN = re.compile(r"[0-9a-f]{32}")


class SheetNotKept(Refused):
    """A sheet is empty, too large, or cannot be written."""


class UnknownSheet(Refused):
    """There is no such sheet, or no longer."""


@dataclass(frozen=True, slots=True)
class KeptSheet:
    """A sheet on disk: `token` is its random name there, `name` what its sender called it, `lines` about how long.

    `registry` is the list that it was uploaded for, if it is a registry's.
    """

    token: str
    name: str
    kind: str
    by: str
    lines: int
    registry: str = ""


class SheetStore:
    """Sheets of at most `most` bytes in `directory`, each with a note of what it is, and the reports about them.

    `instead` says what to do with a larger one.
    """

    def __init__(self, directory: Path, most: int, instead: str = "split it") -> None:
        self.directory = directory
        self.most = most
        self._instead = instead

    @classmethod
    def of(cls, settings: AdminSettings) -> Self:
        """Give the place where the settings have sheets kept. Opens nothing."""
        return cls(settings.data_dir / "imports", settings.import_bytes)

    @classmethod
    def of_registries(cls, settings: AdminSettings) -> Self:
        """Give the same place, where files of registries may be larger. Opens nothing."""
        instead = "import it on the server, with dnc-admin import"
        return cls(settings.data_dir / "imports", settings.registry_bytes, instead)

    async def keep(self, pieces: AsyncIterable[bytes], name: str, kind: str, by: str, registry: str = "") -> KeptSheet:
        """Write a sheet as it arrives, for an import of that kind. Raises SheetNotKept, and what `pieces` does.

        When this returns, it is on disk under its final name, directory entry too. What was cut short leaves nothing.
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
        """Give what is known of a sheet. Raises UnknownSheet."""
        try:
            return KeptSheet(**json.loads(self._note(_known(token)).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise UnknownSheet("This file was uploaded too long ago and taken away; upload it again.") from None

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
        """Give the place of a sheet. Raises UnknownSheet."""
        path = self._sheet(_known(kept.token))
        if not path.exists():
            raise UnknownSheet("The uploaded file is no longer there; upload it again.")
        return path

    def discard(self, kept: KeptSheet) -> None:
        """Take a sheet away that nobody wants any more; the report about it stays."""
        for path in (self._sheet(_known(kept.token)), self._note(kept.token)):
            path.unlink(missing_ok=True)

    def report(self, token: str) -> Path:
        """Give the place of the report of a sheet's rejected rows. Raises UnknownSheet."""
        return self.directory / f"{_known(token)}{REPORT}"

    def sweep(self, wanted: Collection[str], at: datetime) -> int:
        """Take away what is old at `at` (aware UTC), but for the sheets with these tokens; give how many files."""
        old = [path for path in self._files() if _age_s(path, at) > (REPORT_S if _is_report(path) else SHEET_S)]
        gone = [path for path in old if path.name.removeprefix(ARRIVING).split(".")[0] not in wanted]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _files(self) -> list[Path]:
        return list(self.directory.iterdir()) if self.directory.exists() else []

    async def _write(self, file: BinaryIO, pieces: AsyncIterable[bytes]) -> int:
        """Write all pieces; give about how many lines they hold."""
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
        """Put a sheet and the note about it under their final names, on disk."""
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
            raise SheetNotKept(f"The file cannot be kept in {self.directory}: {error.strerror}.") from error


def _is_report(path: Path) -> bool:
    return path.name.endswith(REPORT)


def _age_s(path: Path, at: datetime) -> float:
    try:
        return at.timestamp() - path.stat().st_mtime
    except FileNotFoundError:  # It has just gone, to its final name or for ever.
        return 0.0


def _known(token: str) -> str:
    """Give the token back. Raises UnknownSheet for what is none: it becomes part of a path."""
    if not _TOKEN.fullmatch(token):
        raise UnknownSheet("There is no such file.")
    return token


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
