"""The report of rejected rows: a CSV file for spreadsheets, in which no cell can run as a formula."""

import csv
import os
from pathlib import Path
from typing import Self, TextIO

from admin_web.lists.spreadsheet import defused
from compliance.numbers import visible


class RejectedRows:
    """The report of rejected rows. The file at `path` is created with the first of them.

    The report of an earlier run is replaced, or deleted if this run rejects no rows, since those rows were corrected.
    To continue an interrupted run, pass the `count` of rows reported so far and their `size` in bytes. `first` is a
    sentence about the first rejected row of this run.
    """

    HEADINGS = ("line", "reason", "explanation", "row")

    def __init__(self, path: Path, count: int = 0, size: int = 0) -> None:
        self.path = path
        self.count = count
        self._size = size
        self._file: TextIO | None = None
        self._unwritten = False
        self.first = ""

    def add(self, line: int, reason: str, explanation: str, row: str) -> None:
        """Add one row. Raises OSError."""
        file = self._file = self._file or self._opened()
        csv.writer(file).writerow((line, reason, explanation, visible(defused(row))))
        self.first = self.first or f"The first one, on line {line}: {row.strip()[:80]!r} ({explanation})."
        self.count += 1
        self._unwritten = True

    def flush(self) -> int:
        """Write the report to disk, before the accepted rows are recorded. Return its size in bytes."""
        if self._file is not None and self._unwritten:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._size, self._unwritten = self._file.tell(), False
        return self._size

    def close(self) -> None:
        """Close the file; delete the report of an earlier run if no row was rejected."""
        if self._file is not None:
            self._file.close()
        elif not self.count:
            self.path.unlink(missing_ok=True)

    def _opened(self) -> TextIO:
        """Open the report for appending after its known size, or create it."""
        going_on = self._size > 0 and self.path.exists()
        file = self.path.open("r+" if going_on else "w", encoding="utf-8", errors="backslashreplace", newline="")
        if going_on:
            file.seek(min(self._size, self.path.stat().st_size))
            file.truncate()
        else:
            csv.writer(file).writerow(self.HEADINGS)
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if self._file is not None or error_type is None:
            self.close()
