"""How pytest-xdist distributes the tests to its workers.

Each test goes to whichever worker is free, but tests that share a fixture go to the same worker, one after the other:
those of a module with a fixture of module scope, those below a `conftest.py` with a fixture of package scope. A fixture
of session scope is made once in each worker.
"""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent.parent

SLOW_FIRST = ("browser", "pbx", "faults", "lab", "bench", "admin_web", "agi_gate")
"""Directories whose tests begin first, so that no worker idles at the end while another runs a long test."""


class SharedFixturesTogether(LoadScopeScheduling):
    """Keeps the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        """Return what a test is kept together with: a directory, a module, or nothing but itself."""
        path, _, _ = nodeid.partition("::")
        return _shared_by(TESTS.parent / path) or nodeid


@cache
def _shared_by(module: Path) -> str:
    for directory in module.parents:
        if directory == TESTS:
            break
        if _has_fixture(directory / "conftest.py", "package"):
            return str(directory)
    return str(module) if _has_fixture(module, "module") else ""


def _has_fixture(path: Path, scope: str) -> bool:
    return path.exists() and f'scope="{scope}"' in path.read_text()


def turn(path: Path) -> int:
    """Return when the tests of a module begin, beside others: the lower, the sooner."""
    top = path.relative_to(TESTS).parts[0]
    return SLOW_FIRST.index(top) if top in SLOW_FIRST else len(SLOW_FIRST)
