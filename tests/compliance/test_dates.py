"""Dates for people have one style, and what pages show can be read again."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance import dates

BERLIN = ZoneInfo("Europe/Berlin")
AT = datetime(2026, 11, 3, 13, 5, 9, tzinfo=UTC)


def test_a_moment_is_shown_by_the_clocks_of_its_reader():
    assert dates.moment(AT, UTC) == "3 Nov 2026 13:05"
    assert dates.moment(AT, BERLIN) == "3 Nov 2026 14:05"
    assert dates.moment(AT, ZoneInfo("Asia/Kathmandu"), seconds=True) == "3 Nov 2026 18:50:09"
    assert dates.moment(AT, ZoneInfo("Pacific/Auckland")) == "4 Nov 2026 02:05"


def test_in_the_hours_that_come_twice_the_offset_tells_which_one_it_is():
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    hours = [dates.moment(first + timedelta(hours=number), BERLIN) for number in range(-1, 3)]
    assert hours == [
        "25 Oct 2026 01:30", "25 Oct 2026 02:30 +02:00", "25 Oct 2026 02:30 +01:00", "25 Oct 2026 03:30",
    ]  # fmt: skip
    assert dates.moment(datetime(2026, 3, 29, 1, 30, tzinfo=UTC), BERLIN) == "29 Mar 2026 03:30"  # The skipped hour.


def test_the_ends_of_the_calendar_are_shown_and_raise_nothing():
    assert dates.moment(datetime.max.replace(tzinfo=UTC), BERLIN) == "31 Dec 9999 23:59"
    assert dates.moment(datetime.min.replace(tzinfo=UTC), ZoneInfo("America/New_York")) == "1 Jan 1 00:00"


@given(st.dates(date(1000, 1, 1)))
def test_a_day_that_is_shown_can_be_typed(on: date):
    assert dates.read(dates.day(on)) == on


@given(st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30)), st.booleans())  # noqa: DTZ001
def test_a_moment_that_is_shown_can_be_typed(at: datetime, seconds: bool):
    shown = dates.moment(at.replace(tzinfo=UTC), UTC, seconds=seconds)
    assert dates.read(shown) == at.replace(microsecond=0, second=at.second if seconds else 0)


@pytest.mark.parametrize(
    "text", ["", "2026-11-23", "31 Feb 2026", "23 nov 2026", "23 Nov 2026 25:00", "23 Nov 26", "23 Nov 2026 14:05 UTC",
             "\u0662\u0663 Nov 2026", " 23 Nov 2026", "0 Nov 2026", "23 Nov 0000"]
)  # fmt: skip
def test_anything_else_is_no_date(text: str):
    assert dates.read(text) is None


def test_the_moments_of_a_message_are_found_and_its_other_words_stay():
    message = f"Override 5 expired on {dates.utc(AT)}, as “23 Nov 2026” and 99 Nov 2026 10:00 UTC say."
    assert list(dates.parts(message)) == [
        "Override 5 expired on ", AT.replace(second=0), ", as “23 Nov 2026” and 99 Nov 2026 10:00 UTC say.",
    ]  # fmt: skip
    assert list(dates.parts("nothing")) == ["nothing"]
