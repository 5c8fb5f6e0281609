"""The bytes of a registry's files, block by block with constant memory, unpacked from zip archives."""

import codecs
import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from admin_web.documents.members import require_honest
from admin_web.lists.sheet import LONGEST_LINE, NotASheet
from compliance.wording import counted

BLOCK = 1 << 20
"""Bytes per block."""

MOST_TIMES = 100
"""A zip member that unpacks to more than this many times its size is a zip bomb.

Telephone numbers shrink to a fifth.
"""

MOST_MEMBERS = 2_000

_SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
_SYSTEM_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information"}
"""Files and folders that macOS, Windows and network drives add to folders, and so to archives. Names that begin with a
dot are added too, but are not listed here.
"""

_ZIP = b"PK\x03\x04"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OTHERS = (b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf", b"%PDF", b"Rar!")


@dataclass(frozen=True, slots=True)
class SourceText:
    """One text of a file: the file itself, or a member of a zip archive; `size` is its unpacked size in bytes."""

    path: Path
    member: str | None
    name: str
    size: int


class Source:
    """The texts of some files, in order. Raises NotASheet, OSError.

    `size` is the total size of the texts in bytes.
    """

    def __init__(self, paths: Sequence[Path], name: str = "") -> None:
        if not paths:
            raise NotASheet("Name the file to import.")
        self.paths = tuple(paths)
        self.name = name or (paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more")
        self.parts = [part for path in paths for part in _parts(path, name)]
        self.size: int | None = sum(part.size for part in self.parts)
        self._read = 0
        self._stamps = self._now()

    @property
    def bytes_read(self) -> int:
        """Bytes of text read so far."""
        return self._read

    @property
    def file_bytes(self) -> int:
        """Total size of the files in bytes."""
        return sum(size for size, _ in self._stamps)

    def start(self, part: SourceText, most: int = LONGEST_LINE) -> bytes:
        """Return the start of a text, as UTF-8."""
        with _read(part) as stream:
            return _decoded(stream, part).read(most)

    def blocks(self, part: SourceText, separator: bytes = b"\n") -> Iterator[bytes]:
        """Yield a text as UTF-8 in blocks that end with a separator, which is added to the last one if missing."""
        with _read(part) as stream:
            text = _decoded(stream, part)
            before, rest = self._read, b""
            while block := text.read(BLOCK):
                self._read = before + min(text.consumed, part.size)
                cut = block.rfind(separator) + len(separator)
                if cut < len(separator):
                    rest += block
                    self._require_short(rest, part)
                    continue
                yield rest + block[:cut]
                rest = block[cut:]
                self._require_short(rest, part)
            if rest.strip():
                yield rest + separator
        self._read = before + part.size

    def sha256(self) -> str:
        """Return the SHA-256 (hex) of the content of all files, one file after the other."""
        digest = hashlib.sha256()
        for path in self.paths:
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
        return digest.hexdigest()

    def require_unchanged(self) -> None:
        """Raise NotASheet if a file has changed since the start."""
        if self._now() != self._stamps:
            raise NotASheet(f"{self.name}: the file changed while it was read; import it again.")

    def _now(self) -> list[tuple[int, int]]:
        return [(stat.st_size, stat.st_mtime_ns) for stat in (path.stat() for path in self.paths)]

    @staticmethod
    def _require_short(line: bytes, part: SourceText) -> None:
        if len(line) > LONGEST_LINE:
            raise NotASheet(f"{part.name}: a line is longer than {LONGEST_LINE} characters; this is not a list.")


class _Text:
    """A text converted to UTF-8 with line feeds, from any encoding; `consumed` counts its original bytes."""

    def __init__(self, stream: IO[bytes], first: bytes, part: SourceText) -> None:
        self._stream, self._part = stream, part
        utf16 = first.startswith(_UTF16)
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace") if utf16 else None
        self._first = first if utf16 else first.removeprefix(codecs.BOM_UTF8)
        plain = self._plain(self._first)
        if b"\0" in plain:
            raise NotASheet(
                f"{part.name}: this is either not text, or text in UTF-16 without a byte order mark; save it as UTF-8."
            )
        self._old_mac = b"\r" in plain and b"\n" not in plain
        self._ready = plain
        self.consumed = len(first)

    def read(self, most: int) -> bytes:
        """Return about `most` bytes; empty at the end."""
        if not (piece := self._ready):
            with _damage(self._part):
                raw = self._stream.read(most)
            self.consumed += len(raw)
            piece = self._plain(raw)
        self._ready = b""
        return piece.replace(b"\r", b"\n") if self._old_mac else piece

    def _plain(self, raw: bytes) -> bytes:
        return self._decoder.decode(raw, final=not raw).encode("utf-8", "replace") if self._decoder else raw


def _decoded(stream: IO[bytes], part: SourceText) -> _Text:
    with _damage(part):
        first = stream.read(LONGEST_LINE)
    if first.startswith((_ZIP, *_OTHERS)):
        raise NotASheet(
            f"{part.name}: this is a document, or an archive of an unsupported kind; save or zip it as text."
        )
    return _Text(stream, first, part)


def _parts(path: Path, name: str) -> list[SourceText]:
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    shown, size = name or path.name, path.stat().st_size
    if start != _ZIP:
        if not size:
            raise NotASheet(f"{shown}: the file is empty.")
        return [SourceText(path, None, shown, size)]
    with _damage(SourceText(path, None, shown, size)), zipfile.ZipFile(path) as archive:
        require_honest(archive)
        return [_member(path, shown, info) for info in _texts(archive, shown)]


def _texts(archive: zipfile.ZipFile, shown: str) -> list[zipfile.ZipInfo]:
    texts = [
        info
        for info in archive.infolist()
        if not info.is_dir() and info.file_size and not _is_of_the_system(info.filename)
    ]
    if not texts or len(texts) > MOST_MEMBERS:
        raise NotASheet(
            f"{shown}: this archive contains {counted(len(texts), 'file')}; it must contain 1 to {MOST_MEMBERS:,}."
        )
    return texts


def _is_of_the_system(member: str) -> bool:
    """Return whether an archive's member was added by an operating system, not by a person.

    `._list.txt` holds the attributes of `list.txt` on a Mac, and `~$list.csv` marks it as open in an office program.
    """
    *folders, name = member.replace("\\", "/").casefold().split("/")
    hidden = any(part.startswith(".") and part not in {".", ".."} for part in (*folders, name))
    return hidden or name.startswith("~$") or name in _SYSTEM_FILES or not _SYSTEM_FOLDERS.isdisjoint(folders)


def _member(path: Path, shown: str, info: zipfile.ZipInfo) -> SourceText:
    name = f"{Path(info.filename).name} in {shown}"
    if info.flag_bits & 1:
        raise NotASheet(f"{name}: the file is encrypted; unpack it first.")
    if info.file_size > MOST_TIMES * (info.compress_size + BLOCK // MOST_TIMES):
        raise NotASheet(f"{name}: the file would unpack to {info.file_size:,} bytes, over {MOST_TIMES} times its size.")
    return SourceText(path, info.filename, name, info.file_size)


@contextmanager
def _read(part: SourceText) -> Iterator[IO[bytes]]:
    if part.member is None:
        with part.path.open("rb") as stream:
            yield stream
        return
    with _damage(part), zipfile.ZipFile(part.path) as archive, archive.open(part.member) as member:
        yield member


@contextmanager
def _damage(part: SourceText) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise NotASheet(f"{part.name}: the archive is damaged or incomplete ({error}); obtain it again.") from None
