"""The last question of a run: whether Redis holds what SQL says."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.harness import ending
from tests.faults.harness.replies import NOT_IN_FORCE


class Stack:
    """As much of a stack as answers `verify`: with these exit codes, the last of them for ever."""

    def __init__(self, *codes: int | None) -> None:
        self._codes = list(codes)

    def commands(self) -> Any:
        return self

    def run(self, command: str) -> Any:
        assert command == "verify"
        code = self._codes.pop(0) if len(self._codes) > 1 else self._codes[0]
        return SimpleNamespace(code=code, said=f"ended with {code}")


@pytest.mark.parametrize(
    ("codes", "last"),
    [((0,), 0), ((1, 0), 1), ((NOT_IN_FORCE, NOT_IN_FORCE, 0), 0), ((NOT_IN_FORCE, 1), 1), ((None,), -1)],
)
def test_verify_is_run_again_while_a_change_is_on_its_way(codes: tuple[int | None, ...], last: int):
    assert ending.verified(Stack(*codes)).code == last  # type: ignore[arg-type]


def test_a_change_that_stays_on_its_way_is_in_the_history(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ending, "AT_REST_S", 0.0)
    assert ending.verified(Stack(NOT_IN_FORCE)).code == NOT_IN_FORCE  # type: ignore[arg-type]
