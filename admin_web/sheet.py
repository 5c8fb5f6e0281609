"""A file of rows as people send them: CSV of any delimiter, or one number per line, in the encodings of spreadsheets.

Nothing in it is ever skipped unseen: what cannot be read as a row comes out as a row without cells, to be reported.
"""

import codecs
import csv
import io
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

DELIMITERS = ",;\t|"
LONGEST_LINE = 64 * 1024
MOST_LINES = 100
"""A quoted cell that runs over more lines is a stray quotation mark."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class NotASheet(Exception):
    """The file holds no rows that can be read; the message is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it starts on (from 1), its text as it stands, and its cells; None when it is malformed."""

    line: int
    text: str
    cells: list[str] | None


class Sheet:
    """The rows of a binary stream, read as they are asked for. Raises NotASheet.

    Bytes that are not UTF-8 are carried along, for Latin-1 and its kin differ in names alone: a number has none of
    them, and a row whose number has is rejected like any other.
    """

    def __init__(self, stream: io.BufferedReader, name: str, size: int | None = None) -> None:
        self.name = name
        self.size = size
        self._binary = stream
        self._text = _decoded(stream, name)
        self._line = 0
        self._waiting: deque[tuple[int, str]] = deque()
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
        """How far the file has been read, for a progress bar; 0 for a stream of unknown size."""
        return self._binary.tell() if self.size is not None and not self._text.closed else 0

    def __iter__(self) -> Iterator[Row]:
        """Give each row that is not blank."""
        while (first := self._next_line()) is not None:
            row = self._row(*first)
            if row.cells is None or any(row.cells):
                yield row

    def _row(self, number: int, text: str) -> Row:
        """Read one row, which may run over several lines; hand the later lines back when it turns out malformed."""
        if self.delimiter is None:
            return Row(number, text.rstrip("\r\n"), [text.strip().strip('"').strip()])
        lines = [(number, text)]
        reader = csv.reader(self._more(lines), delimiter=self.delimiter, skipinitialspace=True, strict=True)
        try:
            cells = next(reader)
        except csv.Error:
            self._waiting.extendleft(reversed(lines[1:]))
            return Row(number, text.rstrip("\r\n"), None)
        return Row(number, "".join(line for _, line in lines).rstrip("\r\n"), [cell.strip() for cell in cells])

    def _more(self, lines: list[tuple[int, str]]) -> Iterator[str]:
        """Give the one line there is, then those that a quoted cell runs on to, noting each."""
        yield lines[0][1]
        while len(lines) < MOST_LINES and (following := self._next_line()) is not None:
            lines.append(following)
            yield following[1]

    def _next_line(self) -> tuple[int, str] | None:
        if self._waiting:
            return self._waiting.popleft()
        text = self._text.readline(LONGEST_LINE)
        if not text:
            return None
        self._line += 1
        if len(text) == LONGEST_LINE and text[-1] not in "\r\n":
            raise NotASheet(
                f"{self.name}: line {self._line} is longer than {LONGEST_LINE} characters; this is no list."
            )
        return self._line, text

    def _find_delimiter(self) -> str | None:
        """Take the delimiter that the first row has most of; None when it has none: one number per line."""
        while (first := self._next_line()) is not None:
            if text := first[1].strip():
                self._waiting.append(first)
                counts = {delimiter: _outside_quotes(text).count(delimiter) for delimiter in DELIMITERS}
                most = max(DELIMITERS, key=lambda delimiter: counts[delimiter])
                return most if counts[most] else None
        return None


def _decoded(stream: io.BufferedReader, name: str) -> io.TextIOWrapper:
    start = stream.peek(4096)[:4096]
    if start.startswith(_SPREADSHEETS):
        raise NotASheet(f"{name}: this is a spreadsheet or an archive; save it as CSV.")
    if start.startswith(_UTF16):
        return io.TextIOWrapper(stream, "utf-16", errors="replace", newline="")
    if b"\0" in start:
        raise NotASheet(f"{name}: this is no text, or UTF-16 without its byte order mark; save it as CSV in UTF-8.")
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def _outside_quotes(text: str) -> str:
    return "".join(text.split('"')[::2])
