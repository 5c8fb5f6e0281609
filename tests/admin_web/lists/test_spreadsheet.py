"""A spreadsheet runs no cell of an export or report as a formula, and numbers stay numbers."""

import csv
import io
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.lists.report import RejectedRows
from admin_web.lists.scrub import Judged, spelled
from admin_web.lists.spreadsheet import defused
from admin_web.site.csv_export import cell
from compliance.numbers import InvalidNumber
from compliance.verdict import Reason, block

FORMULA = "=+-@\t\r\n＝＋－＠"


@pytest.mark.parametrize(
    "text",
    [
        *(f"{first}1+1" for first in FORMULA),
        *FORMULA,
        "=HYPERLINK(0)",
        "+1-2",
        "+1 (415) 555-0100",
        "+14155550100,L-1",
        "+١",
        "++14155550100",
        "-14155550100",
        "＋14155550100",
    ],
)
def test_what_a_spreadsheet_would_take_for_a_formula_is_marked_as_text(text: str):
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("text", ["+14155550100", "4155550100", "Lead 12", "a=b", "", "'=1", " =1", "a\n=1"])
def test_anything_else_stays_as_it_is(text: str):
    assert defused(text) == text


@given(st.one_of(st.text(), st.text(FORMULA + "12 ", max_size=4)))
def test_a_text_begins_a_formula_only_when_it_is_a_number_of_digits(text: str):
    written = defused(text)
    assert written in (text, f"'{text}")
    assert not written.startswith(tuple(FORMULA)) or (written[1:].isascii() and written[1:].isdigit())


def in_an_export(text: str, _: Path) -> str:
    return cell(text, UTC)


def in_a_report(text: str, directory: Path) -> str:
    with RejectedRows(directory / "rejected.csv") as report:
        report.add(1, "letters", "it has letters", text)
    with (directory / "rejected.csv").open(encoding="utf-8", newline="") as file:
        return [*csv.reader(file)][1][3]


def in_a_scrubbed_list(text: str, _: Path) -> str:
    ruled = block(Reason("invalid-number"), "letters")
    written = spelled(Judged(range(1), [text], [InvalidNumber("letters")], [None], [ruled]))
    return next(csv.reader(io.StringIO(written, newline="")))[0]


@pytest.mark.parametrize("outlet", [in_an_export, in_a_report, in_a_scrubbed_list])
def test_exports_reports_and_scrubbed_lists_are_defused_alike(outlet: Callable[[str, Path], str], tmp_path: Path):
    for first in FORMULA:
        assert outlet(f"{first}SUM(1)", tmp_path) == f"'{first}SUM(1)"
    assert outlet("+14155550100", tmp_path) == "+14155550100"
