"""The filters of periods: days of the reader, and moments with an offset of their own."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from admin_web.site.forms import Form
from admin_web.site.views import filters

BERLIN, NEW_YORK, KOLKATA = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")


def read(text: str, zone: tzinfo = UTC, *, end: bool = False) -> datetime | None:
    form = Form({"since": text})
    found = filters.moment(form, "since", zone, end=end)
    assert (found is None) == bool(form.errors or not text)
    return found


@pytest.mark.parametrize("text", ["2026-11-23", "23 Nov 2026", "20261123", " 2026-11-23 "])
@pytest.mark.parametrize(("zone", "hour"), [(UTC, 0), (BERLIN, -1), (NEW_YORK, 5), (KOLKATA, -5.5)])
def test_a_day_is_one_of_the_reader(text: str, zone: tzinfo, hour: float):
    begins = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(hours=hour)
    assert read(text, zone) == begins
    assert read(text, zone, end=True) == begins + timedelta(days=1)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("25 Oct 2026", 25)])
def test_the_days_on_which_clocks_change_are_whole(day: str, hours: int):
    begins, ends = read(day, BERLIN), read(day, BERLIN, end=True)
    assert begins
    assert ends
    assert ends - begins == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["2026-11-23T14:05", "2026-11-23 14:05", "23 Nov 2026 14:05", "2026-11-23T14:05:00"])
def test_a_time_is_one_of_the_readers_clocks(text: str):
    assert read(text, BERLIN) == datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
    assert read(text, BERLIN, end=True) == datetime(2026, 11, 23, 13, 5, tzinfo=UTC)


def test_midnight_is_a_time_and_no_day():
    assert read("2026-11-23T00:00", UTC, end=True) == datetime(2026, 11, 23, tzinfo=UTC)
    assert read("23 Nov 2026 00:00", UTC, end=True) == datetime(2026, 11, 23, tzinfo=UTC)


def test_a_period_includes_both_hours_of_the_same_name():
    begins, ends = read("2026-10-25T02:30", BERLIN), read("2026-10-25T02:30", BERLIN, end=True)
    assert begins == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert ends == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-11-23T14:05:00Z", "2026-11-23T09:05:00-05:00", "2026-11-23T19:35+05:30", "2026-11-23T15:05 01:00",
     "2026-11-23T15:05:00 0100", "20261123T1405Z"],
)  # fmt: skip
@pytest.mark.parametrize("zone", [UTC, KOLKATA])
def test_a_moment_with_an_offset_is_the_same_for_every_reader(text: str, zone: tzinfo):
    """A plus sign in an address that is not encoded arrives as a space."""
    assert read(text, zone) == read(text, zone, end=True) == datetime(2026, 11, 23, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "2026-02-30", "31 Feb 2026", "0001-01-01", "23/11/2026", "2026-11-23T25:00",
             "2026-11-23T14:05 25:00", "\u0662\u0660\u0662\u0666-11-23"]
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(text: str):
    form = Form({"since": text})
    assert filters.moment(form, "since", KOLKATA) is None
    assert form.errors["since"] == "Write a day, such as 23 Nov 2026, or a day and time, such as 23 Nov 2026 14:05."


def test_the_last_day_of_the_calendar_has_no_end():
    assert read("9999-12-31", KOLKATA, end=True) is None
    assert read("9999-12-30", KOLKATA, end=True) is not None
