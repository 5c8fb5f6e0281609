"""Tests that measure time run with nothing beside them: they share a lock with the tests of all workers."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn_of(lock: Path, *, alone: bool) -> Iterator[None]:
    """Hold the lock of a test run during one test: together with others, or alone, once no other test runs."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
