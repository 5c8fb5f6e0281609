"""The directory of a spool: create it, and tend the files in it that are no segments of this owner."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from agi_gate.spool.segment import lock

SUFFIX, NEW = ".spool", ".new"

UNFINISHED_S = 60.0
"""Age in seconds after which a file without its final name is deleted, if no process has locked it."""

_reported = set[Path]()

log = structlog.get_logger()


def delete_unfinished(directory: Path, names: Sequence[str]) -> None:
    """Delete the empty files of processes that died before they gave them their final names."""
    for path in (directory / name for name in names if name.endswith(NEW)):
        with suppress(OSError):
            status = path.lstat()
            # A process that lives locks its file at once. If it has waited for the disk for so long, it tries again.
            old = time.time() - status.st_mtime > UNFINISHED_S
            if old and not status.st_size and (segment := lock(path)):
                segment.remove()


def say_foreign(directory: Path, many: int) -> None:
    """Log once in a process that a directory has files of other installations."""
    if many and directory not in _reported:
        _reported.add(directory)
        log.warning("decisions of another installation are left alone", directory=str(directory), files=many)


def make(directory: Path) -> None:
    """Create the directory of a spool. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
