"""The order of the tests: those that wait are spread, so that neither the beginning nor the end leaves a core idle."""

from types import SimpleNamespace
from typing import Any, NamedTuple

from tests.support.distribution import TESTS, in_order


class Marked(NamedTuple):
    """As much of a test as decides when it begins."""

    name: str
    marks: tuple[str, ...] = ()

    @property
    def path(self) -> Any:
        return TESTS / self.name.partition("::")[0]

    @property
    def nodeid(self) -> str:
        return f"tests/{self.name}"

    def iter_markers(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.marks]

    def get_closest_marker(self, name: str) -> bool | None:
        return name in self.marks or None


def order(*tests: Marked) -> list[str]:
    return [test.name for test in in_order(tests)]  # type: ignore[arg-type,attr-defined]


def test_tests_that_wait_are_spread_among_those_that_compute():
    waiting = [Marked(f"pbx/test_none.py::test_{at}", ("pbx",)) for at in range(3)]
    busy = [Marked(f"admin_web/test_none.py::test_{at}") for at in range(9)]
    found = order(*busy, *waiting)
    assert [at for at, name in enumerate(found) if name.startswith("pbx")] == [3, 7, 11]
    assert [name for name in found if name.startswith("admin_web")] == [test.name for test in busy]


def test_the_longest_begin_first_and_the_one_that_runs_alone_is_the_last():
    alone, short = Marked("faults/test_none.py::test_a", ("alone",)), Marked("compliance/test_none.py::test_a")
    long, busy = Marked("browser/test_none.py::test_a", ("browser",)), Marked("admin_web/test_none.py::test_a")
    assert order(alone, short, busy, long) == [test.name for test in (long, busy, short, alone)]


def test_tests_that_share_a_fixture_stay_together():
    shared = [Marked(f"pbx/test_several_gates.py::test_{at}", ("pbx",)) for at in range(2)]
    found = order(*shared, *(Marked(f"admin_web/test_none.py::test_{at}") for at in range(4)))
    first = found.index(shared[0].name)
    assert found[first + 1] == shared[1].name
