"""The report of rejected rows runs no formula in a spreadsheet."""

import csv
from pathlib import Path

import pytest

from admin_web.lists.report import RejectedRows


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_rows_are_reported_with_line_reason_and_text(tmp_path: Path):
    with RejectedRows(tmp_path / "r.csv") as report:
        report.add(7, "letters", "it has letters", '=cmd,"x"\ny\udceb')
        report.flush()
        assert (tmp_path / "r.csv").stat().st_size > 0
        assert report.count == 1
    assert read(tmp_path / "r.csv") == [
        ["line", "reason", "explanation", "row"],
        ["7", "letters", "it has letters", '\'=cmd,"x"\ny\\udceb'],
    ]


def test_a_character_that_turns_digits_around_is_shown_by_its_code(tmp_path: Path):
    with RejectedRows(tmp_path / "r.csv") as report:
        report.add(1, "direction-mark", "they may be in another order", "A,\u202e0015550514")
        report.flush()
    assert read(tmp_path / "r.csv")[1][3] == "A,<U+202E>0015550514"


def test_a_run_that_rejects_nothing_leaves_no_report_not_even_an_old_one(tmp_path: Path):
    (tmp_path / "r.csv").write_text("old")
    with RejectedRows(tmp_path / "r.csv"):
        pass
    assert not (tmp_path / "r.csv").exists()


def test_a_run_that_fails_before_it_rejects_anything_leaves_the_old_report(tmp_path: Path):
    def fail() -> None:
        with RejectedRows(tmp_path / "r.csv"):
            raise RuntimeError

    (tmp_path / "r.csv").write_text("old")
    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "r.csv").read_text() == "old"
