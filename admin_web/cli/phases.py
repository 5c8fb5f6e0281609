"""Progress of a rebuild or a comparison: bars on a terminal, a plain line per phase elsewhere."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PLAIN_EVERY_S = 5.0


class PhaseBars:
    """One progress bar per phase, on standard error. Pass `update` as the progress callback."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description:<14}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._said = 0.0

    def update(self, phase: str, done: int, total: int) -> None:
        """Show that `done` of `total` are finished in a phase."""
        said = f"{done:,} of {total:,}"
        if self._bars.disable:
            self._say(f"{phase}: {said}", over=done >= total)
            return
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, said=said)
        self._bars.update(self._tasks[phase], completed=done, total=max(total, 1), said=said)

    def _say(self, line: str, *, over: bool) -> None:
        if over or time.monotonic() - self._said >= PLAIN_EVERY_S:
            self._said = time.monotonic()
            print(line, file=sys.stderr)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
