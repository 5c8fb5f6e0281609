"""How pytest-xdist distributes the tests to its workers, and which tests are quick.

Each test goes to whichever worker is free, but tests that share a fixture go to the same worker, one after the other:
those of a module with a fixture of module scope, those below a `conftest.py` with a fixture of package scope. A fixture
of session scope is made once in each worker.
"""

import inspect
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent.parent

SLOW_FIRST = ("browser", "test_wheel.py", "bench", "admin_web", "agi_gate")
"""What begins first, in this order, so that no worker idles at the end while another runs a long test."""

WAITING = ("pbx", "faults", "lab")
"""Directories whose tests wait more than they compute. They are spread among those of `BUSY`, which need the cores."""

BUSY = "admin_web"


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


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in the order in which they begin: the slow ones first, those that run alone last."""
    units: dict[str, list[pytest.Item]] = {}
    for item in items:
        units.setdefault(_shared_by(item.path) or item.nodeid, []).append(item)
    together = Counter(_turn(unit[0]) for unit in units.values())
    begun = Counter[tuple[int, bool]]()

    def place(unit: list[pytest.Item]) -> tuple[int, float]:
        begun[turn := _turn(unit[0])] += 1
        return turn[0], begun[turn] / together[turn]

    return [item for unit in sorted(units.values(), key=place) for item in unit]


def _turn(item: pytest.Item) -> tuple[int, bool]:
    """Return when a test begins (the lower, the sooner), and whether it is to be spread among others of this turn."""
    top = item.path.relative_to(TESTS).parts[0]
    if item.get_closest_marker("alone"):
        return len(SLOW_FIRST) + 1, False
    if top in WAITING and not is_quick(item):
        return SLOW_FIRST.index(BUSY), True
    return (SLOW_FIRST.index(top) if top in SLOW_FIRST else len(SLOW_FIRST)), False


NOT_QUICK = {"postgres", "browser", "pbx", "exhaustive", "alone"}
"""Marks of tests that need another engine than a Redis, or that try everything there is and take seconds."""

PROGRAMS = {
    "lab.cluster.RedisCluster", "lab.process.Process", "lab.sentinel.Watched", "tests.support.programs.Program",
    "tests.support.programs.run",
}  # fmt: skip
"""What starts a program, or several servers."""

OURS = ("tests.", "lab.")

OTHER_ENGINES = {"valkey_pool"}
"""Fixtures with which a module repeats, on another engine, tests that the quick run has done."""

ENGINES = {"database_url", "redis_server"}
"""Fixtures that make a test take a hundred times as long as one without an engine."""

FEW_CASES = 2
"""Cases of one parametrised test with an engine that are enough for a quick look."""


def quick(items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield the tests of a quick run."""
    cases = Counter[str]()
    for item in filter(is_quick, items):
        function, _, _ = item.nodeid.partition("[")
        cases[function] += 1
        if cases[function] <= FEW_CASES or ENGINES.isdisjoint(getattr(item, "fixturenames", ())):
            yield item


def is_quick(item: pytest.Item) -> bool:
    """Return whether a test needs no engine but one Redis, starts no program, and tries no more than a few cases."""
    if any(mark.name in NOT_QUICK for mark in item.iter_markers()) or item.path.is_relative_to(TESTS / "bench"):
        return False
    if not OTHER_ENGINES.isdisjoint(getattr(item, "fixturenames", ())):
        return False
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009 - of tests that are functions
    used = [getattr(item, "function", None), *(definition.func for found in fixtures for definition in found)]
    return not _start_a_program(tuple(used))


@cache
def _start_a_program(used: tuple[Any, ...]) -> bool:
    """Return whether a test or one of its fixtures starts a program. The answer is the same for all of its cases."""
    seen: set[int] = set()
    return any(_uses(PROGRAMS, thing, seen) for thing in used)


def _uses(named: set[str], thing: Any, seen: set[int]) -> bool:
    """Return whether a function or class, or what its code names in turn, is one of those `named`, or runs Python."""
    name = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
    if id(thing) in seen or not name.startswith(OURS) or name == "lab.redis.RedisServer":
        return False
    seen.add(id(thing))
    return name in named or _runs_python(thing) or any(_uses(named, part, seen) for part in _parts(thing))


def _runs_python(thing: Any) -> bool:
    """Return whether a function names `sys.executable`, which is how a test runs Python other than as a `Program`."""
    function = _function(thing)
    return bool(function and function.__globals__.get("sys") is sys and "executable" in _names(function.__code__))


def _parts(thing: Any) -> Iterator[Any]:
    """Yield what a function names in its code, or the functions and bases of a class."""
    if isinstance(thing, type):
        yield from thing.__bases__
        members = vars(thing).values()
        yield from (getattr(member, "fget", None) or getattr(member, "__func__", member) for member in members)
        return
    if function := _function(thing):
        for name in _names(function.__code__):
            yield function.__globals__.get(name)


def _function(thing: Any) -> FunctionType | None:
    function = inspect.unwrap(thing) if callable(thing) else None
    return function if isinstance(function, FunctionType) else None


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
