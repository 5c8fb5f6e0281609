"""Cells of an export have the text of the recorded values."""

from datetime import UTC, date, datetime

from admin_web.site.csv_export import cell


def test_moments_are_in_utc_and_dates_are_dates():
    assert cell(datetime(2026, 11, 23, 12, 30, 1, tzinfo=UTC)) == "2026-11-23T12:30:01Z"
    assert cell(date(2026, 11, 23)) == "2026-11-23"
    assert cell(None) == ""


def test_texts_are_defused():
    assert cell("=1+1") == "'=1+1"
    assert cell(-1) == "'-1"
