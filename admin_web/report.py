"""CSV that people open in a spreadsheet: no cell of it is ever run as a formula."""

import csv
from pathlib import Path
from typing import Self, TextIO

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def defused(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


class RejectedRows:
    """The report of rows that were not accepted, made at `path` with the first of them.

    A report of an earlier run is replaced, and removed when this run rejects nothing: it would tell of rows that
    were put right since.
    """

    HEADINGS = ("line", "reason", "explanation", "row")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: TextIO | None = None

    def add(self, line: int, reason: str, explanation: str, row: str) -> None:
        """Report one row. Raises OSError."""
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
            csv.writer(self._file).writerow(self.HEADINGS)
        csv.writer(self._file).writerow((line, reason, explanation, defused(row)))
        self.count += 1

    def flush(self) -> None:
        """Bring what was reported to the file, before the rows around it are recorded."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """End the report."""
        if self._file is not None:
            self._file.close()
        else:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if self._file is not None or error_type is None:
            self.close()
