"""The data directory of `scripts/up`: it is created, checked, and used by one start at a time."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED_MB = 100
"""Minimum free space in megabytes. With less, nothing is started, because a full disk blocks every call."""

OTHERWISE = "choose another directory with DNC_DATA_DIR"


class Unusable(Exception):
    """The data directory cannot be used. The message says why, and what to do, in one line."""


class AlreadyRunning(Exception):
    """Another running dnc-gate uses the same data directory."""


@contextmanager
def claimed(directory: Path) -> Iterator[Path]:
    """Create the directory, and keep other starts out of it. Yield its absolute path.

    Raises Unusable, AlreadyRunning.
    """
    try:
        absolute = directory.resolve()
        absolute.mkdir(parents=True, exist_ok=True, mode=0o700)
        (absolute / "log").mkdir(exist_ok=True)
        lock = (absolute / "up.lock").open("a")
    except (OSError, RuntimeError) as error:  # A RuntimeError comes from a loop of symbolic links.
        raise Unusable(f"DNC_DATA_DIR: cannot use {directory}: {_why(error, directory)}; {OTHERWISE}.") from None
    with lock:
        _lock(lock.fileno(), absolute)
        if (free := shutil.disk_usage(absolute).free // 1_000_000) < NEEDED_MB:
            raise Unusable(f"DNC_DATA_DIR: {absolute} has only {free} MB free: free {NEEDED_MB} MB, or {OTHERWISE}.")
        yield absolute


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning(f"dnc-gate already runs in {directory}: stop it, or {OTHERWISE}.") from None


def _why(error: Exception, directory: Path) -> str:
    if not isinstance(error, OSError):
        return "its symbolic links form a loop"
    if isinstance(error, FileExistsError | NotADirectoryError):
        file = next(path for path in (directory, *directory.parents) if path.exists())
        return f"{file} is a file"
    return f"{error.filename}: {error.strerror}"
