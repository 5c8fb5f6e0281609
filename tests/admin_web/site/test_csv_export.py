"""Cells of an export: what was on record is in them, and no spreadsheet runs them."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_web.site.csv_export import cell

FORMULA = "=+-@\t\r\n＝＋－＠"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1-2", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "=HYPERLINK(0)", "+", "+١", "+1 (415) 555-0100"],
)
def test_what_a_spreadsheet_would_take_for_a_formula_is_marked_as_text(text: str):
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["+14155550100", "Lead 12", "a=b", "", "'=1", " =1"])
def test_anything_else_stays_as_it_is(text: str):
    assert cell(text) == text


def test_moments_are_in_utc_and_dates_are_dates():
    assert cell(datetime(2026, 11, 23, 12, 30, 1, tzinfo=UTC)) == "2026-11-23T12:30:01Z"
    assert cell(date(2026, 11, 23)) == "2026-11-23"
    assert cell(None) == ""


@given(st.text())
def test_a_cell_begins_a_formula_only_when_it_is_a_number_of_digits(text: str):
    written = cell(text)
    assert written.removeprefix("'") == text.removeprefix("'")
    assert not written.startswith(tuple(FORMULA)) or (written[1:].isascii() and written[1:].isdigit())
