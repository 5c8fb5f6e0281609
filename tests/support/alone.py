"""Tests that measure time run with nothing beside them: the workers of pytest-xdist share a lock with them."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn_of(*, alone: bool) -> Iterator[None]:
    """Hold the lock of this test run during one test: with others, or alone, once no other test runs."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:  # There is one process, which runs one test after the other.
        yield
        return
    with (Path(tempfile.gettempdir()) / f"dnc-gate-tests-{run}").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
