"""A test that runs alone waits for the others, and they wait for it."""

import threading
from pathlib import Path

import pytest

from tests.support.alone import turn_of

SOON_S = 0.2


def in_turn_within(seconds: float, lock: Path, *, alone: bool) -> tuple[bool, threading.Thread]:
    """Return whether another worker's test gets its turn soon, and the thread that waits for it."""
    reached = threading.Event()

    def work() -> None:
        with turn_of(lock, alone=alone):
            reached.set()

    thread = threading.Thread(target=work)
    thread.start()
    return reached.wait(seconds), thread


def test_usual_tests_run_beside_each_other(tmp_path: Path):
    with turn_of(tmp_path / "turn", alone=False):
        reached, thread = in_turn_within(20, tmp_path / "turn", alone=False)
    thread.join()
    assert reached


@pytest.mark.parametrize(("first", "second"), [(False, True), (True, False), (True, True)])
def test_nothing_runs_beside_a_test_that_runs_alone(first: bool, second: bool, tmp_path: Path):
    with turn_of(tmp_path / "turn", alone=first):
        reached, thread = in_turn_within(SOON_S, tmp_path / "turn", alone=second)
    thread.join(20)
    assert not reached
    assert not thread.is_alive()
