"""Progress of an import: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from admin_web.lists.progress import Progress
from compliance.wording import counted

PLAIN_EVERY_S = 5.0


class Readable(Protocol):
    """A source being read: its name, its size in bytes (None if unknown), and how many bytes have been read."""

    name: str
    size: int | None

    @property
    def bytes_read(self) -> int:
        """Bytes read so far."""


class ImportBar:
    """Progress of the import of `sheet`, on standard error."""

    def __init__(self, sheet: Readable) -> None:
        self._sheet = sheet
        self._began = self._said = time.monotonic()
        console = Console(file=sys.stderr)
        self._bar = Bar(
            TextColumn(sheet.name),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=sheet.size, said="")

    def update(self, done: Progress) -> None:
        """Show the progress."""
        now = time.monotonic()
        rate = done.rows / max(now - self._began, 0.001)
        said = f"{counted(done.rows, 'row')}, {done.rejected:,} rejected, {rate:,.0f} rows/s"
        if not self._bar.disable:
            self._bar.update(self._task, completed=self._sheet.bytes_read, said=said)
        elif now - self._said >= PLAIN_EVERY_S:
            self._said = now
            print(f"{self._sheet.name}: {said}{self._left(now)}", file=sys.stderr)

    def _left(self, now: float) -> str:
        """Return the estimated time left, as text; empty when it is unknown."""
        read, size = self._sheet.bytes_read, self._sheet.size
        if not (read and size):
            return ""
        return f", about {(now - self._began) * max(size - read, 0) / read:,.0f} s left"

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
