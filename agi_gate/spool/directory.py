"""The directory of a spool: the segments of one owner in it, and its creation.

The name of a segment begins with its owner (`owner.py`), and the names are in the order of time.
"""

import secrets
import time
from functools import cache
from pathlib import Path

import structlog

from agi_gate.spool.segment import create

SUFFIX = ".spool"

_with_foreign_files = set[Path]()

log = structlog.get_logger()


class SpoolDirectory:
    """The segments of `owner` in the directory `path`. If the directory is gone, it is created again."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path, self._owner = path, owner

    def segments(self) -> list[Path]:
        """Return the paths of the owner's segments, the oldest first. Raises OSError."""
        return sorted(filter(self._is_own, self._files()))

    def say_foreign(self) -> None:
        """Log once in a process that there are segments of other owners. Raises OSError."""
        if self._path not in _with_foreign_files and (many := sum(not self._is_own(path) for path in self._files())):
            _with_foreign_files.add(self._path)
            log.warning("decisions of another installation are left alone", directory=str(self._path), files=many)

    def new_path(self) -> Path:
        """Return the path for a new segment."""
        return self._path / f"{self._owner}-{time.time_ns():020d}-{secrets.token_hex(4)}{SUFFIX}"

    def make(self) -> None:
        """Create the directory if it is gone. Raises OSError."""
        if not self._path.exists():
            make(self._path)
            log.error("directory of decisions was deleted, and is created again", directory=str(self._path))

    def _is_own(self, path: Path) -> bool:
        return path.name.startswith(f"{self._owner}-")

    def _files(self) -> list[Path]:
        try:
            return [path for path in self._path.iterdir() if path.name.endswith(SUFFIX)]
        except FileNotFoundError:
            self.make()
            return []


def make(directory: Path) -> None:
    """Create a directory that only this user may read. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


@cache  # Once in a process: on a cluster, each new shard opens a spool while calls are being answered.
def is_usable(directory: Path) -> bool:
    """Create a directory if it is missing. Return whether files can be created in it; if not, log why."""
    try:
        make(directory)
        create(directory / f"{secrets.token_hex(8)}.probe", loaded=True).remove()
    except OSError as error:
        log.warning("decisions are not kept on disk", directory=str(directory), trouble=str(error))
        return False
    return True
