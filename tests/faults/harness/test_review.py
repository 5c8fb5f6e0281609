"""Histories in files are checked again, and their figures add up."""

from pathlib import Path

import pytest

from tests.faults.harness.checking.stories import FREE, Story, edited
from tests.faults.harness.history import Event, Recorder, UnreadableHistory, Verified
from tests.faults.harness.review import review


def story() -> Story:
    story = Story()
    story.allow(0, FREE)
    story.fault(10)
    return story


def written(path: Path, events: list[Event]) -> Path:
    with Recorder(path) as recorder:
        recorder.record(*events)
    return path


def test_right_histories_are_summed_up(tmp_path: Path):
    said: list[str] = []
    files = [written(tmp_path / name, story().events()) for name in ("one", "two")]
    assert review(files, said.append) == 0
    assert "| **all** | 0.0 | 2 | 2 | 0 | 0 | 0 | 0 |  |  |" in said


def test_a_violation_in_one_of_the_histories_is_shown_and_makes_the_exit_code_one(tmp_path: Path):
    said: list[str] = []
    right = written(tmp_path / "right", story().events())
    wrong = written(tmp_path / "wrong", edited(Verified, code=1, said="DANGER")(story().events()))
    assert review([right, wrong], said.append) == 1
    assert said[0] == "wrong: drift: dnc-admin verify ended with 1: 'DANGER'."
    assert said[-1] == "drift: 1 violations"


def test_a_broken_history_never_passes(tmp_path: Path):
    path = written(tmp_path / "history", story().events())
    path.write_text(path.read_text()[:-10])
    with pytest.raises(UnreadableHistory):
        review([path])


def test_no_history_never_passes():
    assert review([], lambda _: None) == 1
