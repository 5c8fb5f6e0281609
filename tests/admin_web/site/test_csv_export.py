"""Cells of an export have the text of the recorded values."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from admin_web.site.csv_export import cell

BERLIN = ZoneInfo("Europe/Berlin")


def test_moments_have_the_offset_of_the_readers_zone_and_seconds():
    assert cell(datetime(2026, 11, 23, 12, 30, 1, 999, tzinfo=UTC), BERLIN) == "2026-11-23T13:30:01+01:00"
    assert cell(datetime(2026, 6, 23, 22, 30, tzinfo=UTC), BERLIN) == "2026-06-24T00:30:00+02:00"
    assert cell(datetime(2026, 11, 23, 12, 30, 1, tzinfo=UTC), UTC) == "2026-11-23T12:30:01+00:00"


def test_the_hour_that_comes_twice_is_told_apart_by_its_offset():
    moments = [datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1)]
    assert [cell(at, BERLIN) for at in moments] == ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]


def test_a_moment_that_no_zone_can_show_stays_in_utc():
    assert cell(datetime.max.replace(tzinfo=UTC), BERLIN) == "9999-12-31T23:59:59+00:00"


def test_days_are_days_in_every_zone():
    assert cell(date(2026, 11, 23), ZoneInfo("America/New_York")) == "2026-11-23"
    assert cell(None, BERLIN) == ""


def test_texts_are_defused():
    assert cell("=1+1", BERLIN) == "'=1+1"
    assert cell(-1, BERLIN) == "'-1"
