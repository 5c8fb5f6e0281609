"""Sheets: files of rows as CSV with any delimiter, or one number per line, in the encodings that spreadsheets write.

No row is skipped silently: text that cannot be parsed becomes a row without cells, which the import reports.
"""

import codecs
import csv
import io
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self, TypeVar, cast

DELIMITERS = ",;\t|"
LONGEST_LINE = 64 * 1024
PIECE = 64 * 1024
MOST_LINES = 100
"""Maximum number of lines of a quoted cell. If a cell has more, its quotation mark is considered a stray one."""

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

    Bytes that are not UTF-8 are preserved. Files in Latin-1 and similar encodings differ only in names; a number
    contains only ASCII, and a row whose number does not is rejected like any other.
    """

    def __init__(self, stream: io.BufferedReader, name: str, size: int | None = None) -> None:
        self.name = name
        self.size = size
        self._binary = stream
        self._text = _decoded(stream, name)
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
    def bytes_read(self) -> int:
        """Bytes read so far, for a progress bar; 0 for a stream of unknown size."""
        return self._binary.tell() if self.size is not None and not self._text.closed else 0

    def __iter__(self) -> Iterator[SheetRow]:
        """Yield each row that is not blank."""
        return self.read(nothing, lambda row: row)

    def read(self, plain: Callable[[int, str], Taken | None], other: Callable[[SheetRow], Taken]) -> Iterator[Taken]:
        """Yield the result for each row that is not blank: of `plain` for a line, or of `other` for a parsed row.

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
            return SheetRow(number, text.rstrip("\r\n"), [text.strip().strip('"').strip()])
        if '"' not in text:
            line = text.rstrip("\r\n")
            return SheetRow(number, line, [cell.strip() for cell in line.split(self.delimiter)])
        lines = [text]
        reader = csv.reader(self._more(lines), delimiter=self.delimiter, skipinitialspace=True, strict=True)
        try:
            cells = next(reader)
        except csv.Error:
            self._hand_back(lines[1:])
            return SheetRow(number, text.rstrip("\r\n"), None)
        return SheetRow(number, "".join(lines).rstrip("\r\n"), [cell.strip() for cell in cells])

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
        for number, line in enumerate(lines, start=self._line + 1):
            if len(line.rstrip("\r\n")) >= LONGEST_LINE:
                said = f"line {number} is longer than {LONGEST_LINE} characters; this is not a list."
                raise NotASheet(f"{self.name}: {said}")

    def _find_delimiter(self) -> str | None:
        """Return the most frequent delimiter in the first row; None when there is none: one number per line."""
        while self._coming or self._read_on():
            if text := self._coming[0].strip():
                counts = {delimiter: _outside_quotes(text).count(delimiter) for delimiter in DELIMITERS}
                most = max(DELIMITERS, key=lambda delimiter: counts[delimiter])
                return most if counts[most] else None
            self._coming.popleft()
            self._line += 1
        return None


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


def _outside_quotes(text: str) -> str:
    return "".join(text.split('"')[::2])
