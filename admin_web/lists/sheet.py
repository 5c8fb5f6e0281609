"""Sheets: files of rows as CSV with any delimiter, or one number per line, in the encodings that spreadsheets write.

No row is skipped silently: text that cannot be parsed becomes a row without cells, which the import reports. The only
line that is no row is the line `sep=;` in which spreadsheets declare the delimiter.
"""

import codecs
import csv
import hashlib
import io
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar, cast

from admin_web.lists.delimiters import DELIMITERS, declared_delimiter, delimiter_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

JUDGED = 50
"""Lines by which the delimiter is judged."""

LONGEST_LINE = 64 * 1024
PIECE = 64 * 1024
MOST_LINES = 100
"""Maximum number of lines of a quoted cell. If a cell has more, its quotation mark is considered a stray one."""

_TEXT_MARK = re.compile(r"['\u2019](?=[0-9(=+@-])")
"""The apostrophe by which a spreadsheet marks a cell as text. A name such as 't Hooft keeps its apostrophe."""

_TEXT_FORMULA = re.compile(r'="([^"]*)"')
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


Taken = TypeVar("Taken")


class NotASheet(Exception):
    """The file contains no readable rows; the message is one line that says what to do."""


class SheetRow(NamedTuple):
    """One row: the line it starts on (from 1), its original text, and its cells; None when it is malformed."""

    line: int
    text: str
    cells: list[str] | None


class Sheet:
    """The rows of a binary stream, read lazily. Raises NotASheet.

    Bytes that are not UTF-8 are preserved. Files in Latin-1 and similar encodings differ only in names. A valid
    number contains only ASCII characters, so a row with other characters in its number is rejected.
    """

    def __init__(self, stream: io.BufferedReader, name: str, size: int | None = None) -> None:
        self.name = name
        self.size = size
        self._binary = stream
        self._digested = _Digested(stream)
        self._text = _decoded(io.BufferedReader(self._digested, PIECE), name)
        self._line = 0
        self._coming: deque[str] = deque()
        self.delimiter = self._find_delimiter()

    @classmethod
    def open(cls, path: str) -> Self:
        """Open a file, or standard input for `-`. Raises OSError, NotASheet."""
        if path == "-":
            return cls(cast("io.BufferedReader", sys.stdin.buffer), "standard input")
        stream = Path(path).open("rb")  # noqa: SIM115 - closed by our own close()
        try:
            return cls(stream, Path(path).name, Path(path).stat().st_size)
        except BaseException:
            stream.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._text.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def line(self) -> int:
        """The last line that was read, counted from 1."""
        return self._line

    @property
    def shape(self) -> str:
        """How the rows are written, in words."""
        if self.delimiter is None:
            return "one number per line"
        return f"columns separated by {DELIMITERS.get(self.delimiter, repr(self.delimiter))}"

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes read so far: after the last row, that of the file."""
        return self._digested.sha256.hexdigest()

    @property
    def bytes_read(self) -> int:
        """Bytes read so far, for a progress bar; 0 for a stream of unknown size."""
        return self._binary.tell() if self.size is not None and not self._text.closed else 0

    def __iter__(self) -> Iterator[SheetRow]:
        """Yield each row that is not blank."""
        return self.read(nothing, lambda row: row)

    def read(self, plain: Callable[[int, str], Taken | None], other: Callable[[SheetRow], Taken]) -> Iterator[Taken]:
        """Yield what `plain` returns for the line, or `other` for the parsed row, for each row that is not blank.

        `plain` gets the line number and the line. It must return None unless the line is a complete row by itself.
        """
        while self._coming or self._read_on():
            text = self._coming.popleft()
            self._line += 1
            if (taken := plain(self._line, text)) is not None:
                yield taken
            elif (row := self._row(self._line, text)).cells is None or any(row.cells):
                yield other(row)

    def _row(self, number: int, text: str) -> SheetRow:
        """Parse one row, which may continue over several lines.

        If it is malformed, its later lines become rows of their own.
        """
        if self.delimiter is None:
            return SheetRow(number, text.rstrip("\r\n"), [only_cell(text)])
        if '"' not in text:
            line = text.rstrip("\r\n")
            return SheetRow(number, line, [cell_text(cell) for cell in line.split(self.delimiter)])
        lines = [text]
        reader = csv.reader(self._more(lines), delimiter=self.delimiter, skipinitialspace=True, strict=True)
        try:
            cells = next(reader)
        except csv.Error:
            self._hand_back(lines[1:])
            return SheetRow(number, text.rstrip("\r\n"), None)
        return SheetRow(number, "".join(lines).rstrip("\r\n"), [cell_text(cell) for cell in cells])

    def _more(self, lines: list[str]) -> Iterator[str]:
        """Yield the first line, then the lines over which a quoted cell continues, and append them to `lines`."""
        yield lines[0]
        while len(lines) < MOST_LINES and (self._coming or self._read_on()):
            lines.append(self._coming.popleft())
            self._line += 1
            yield lines[-1]

    def _hand_back(self, lines: Sequence[str]) -> None:
        self._coming.extendleft(reversed(lines))
        self._line -= len(lines)

    def _read_on(self) -> bool:
        """Read more complete lines. Return whether there are any. Raises NotASheet."""
        text = self._text.read(PIECE)
        if text and text[-1] != "\n":
            text += self._text.readline(LONGEST_LINE + len("\r\n"))
        lines = io.StringIO(text, newline="").readlines()
        if max(map(len, lines), default=0) >= LONGEST_LINE:
            self._require_short(lines)
        self._coming.extend(lines)
        return bool(lines)

    def _require_short(self, lines: Sequence[str]) -> None:
        for number, line in enumerate(lines, start=self._line + len(self._coming) + 1):
            if len(line.rstrip("\r\n")) >= LONGEST_LINE:
                said = f"line {number} is longer than {LONGEST_LINE} characters; this is not a list."
                raise NotASheet(f"{self.name}: {said}")

    def _find_delimiter(self) -> str | None:
        """Return the declared delimiter, or the one that most of the first lines have; None for one number per line."""
        lines = self._first_lines()
        if lines and (declared := declared_delimiter(lines[0])):
            self._drop_first_line()
            return declared
        return delimiter_of([line.strip("\r\n") for line in lines])

    def _first_lines(self) -> list[str]:
        """Return the first lines that are not blank, and drop the blank ones above them."""
        while self._coming or self._read_on():
            if self._coming[0].strip():
                break
            self._drop_first_line()
        while len(self._coming) < JUDGED and self._read_on():
            pass
        return [line for line in islice(self._coming, JUDGED) if line.strip()]

    def _drop_first_line(self) -> None:
        self._coming.popleft()
        self._line += 1


class _Digested(io.RawIOBase):
    """The bytes of a stream, digested as they are read."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, into: "Buffer", /) -> int:
        many = self._stream.readinto(into)
        self.sha256.update(memoryview(into)[:many])
        return many

    def close(self) -> None:
        self._stream.close()
        super().close()


def nothing(line: int, text: str) -> None:
    """Return None for every line, so that all lines are parsed in the usual way."""
    del line, text


def _decoded(stream: io.BufferedReader, name: str) -> io.TextIOWrapper:
    start = stream.peek(4096)[:4096]
    if start.startswith(_SPREADSHEETS):
        raise NotASheet(f"{name}: this is a spreadsheet or an archive; save it as CSV.")
    if start.startswith(_UTF16):
        return io.TextIOWrapper(stream, "utf-16", errors="replace", newline="")
    if b"\0" in start:
        raise NotASheet(
            f"{name}: this is either not text, or text in UTF-16 without a byte order mark; save it as CSV in UTF-8."
        )
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def only_cell(text: str) -> str:
    """Return the content of a line that is one cell, in quotation marks or not."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('""', '"')
    return cell_text(text).strip('"').strip()


def cell_text(text: str) -> str:
    """Return the content of a cell without the marks by which a spreadsheet keeps digits as text: `'0…` and `="0…"`."""
    text = text.strip()
    if text[:1] in {"'", "\u2019"}:
        return _TEXT_MARK.sub("", text, count=1).strip() if _TEXT_MARK.match(text) else text
    if text[:2] == '="' and (formula := _TEXT_FORMULA.fullmatch(text)):
        return formula[1].strip()
    return text
