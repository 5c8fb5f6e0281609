"""The report of rows that were not accepted: a CSV file for people, in which no cell is run as a formula."""

import csv
import os
from pathlib import Path
from typing import Self, TextIO

from admin_web.lists.spreadsheet import defused


class RejectedRows:
    """The report of rows that were not accepted, made at `path` with the first of them.

    A report of an earlier run is replaced, and removed when this run rejects nothing: it would tell of rows that
    were put right since. A run that was cut short is gone on with: `count` rows are reported in the first `size` bytes.
    """

    HEADINGS = ("line", "reason", "explanation", "row")

    def __init__(self, path: Path, count: int = 0, size: int = 0) -> None:
        self.path = path
        self.count = count
        self._size = size
        self._file: TextIO | None = None
        self._unwritten = False

    def add(self, line: int, reason: str, explanation: str, row: str) -> None:
        """Report one row. Raises OSError."""
        file = self._file = self._file or self._opened()
        csv.writer(file).writerow((line, reason, explanation, defused(row)))
        self.count += 1
        self._unwritten = True

    def flush(self) -> int:
        """Bring what was reported to the disk, before the rows around it are recorded; give its size in bytes."""
        if self._file is not None and self._unwritten:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._size, self._unwritten = self._file.tell(), False
        return self._size

    def close(self) -> None:
        """End the report."""
        if self._file is not None:
            self._file.close()
        elif not self.count:
            self.path.unlink(missing_ok=True)

    def _opened(self) -> TextIO:
        """Open the report behind what it holds already, or begin it."""
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
