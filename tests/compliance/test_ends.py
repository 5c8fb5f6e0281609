"""The end of an entry: what is read as a day or a moment, what is refused, and which of two ends holds."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from compliance.consent_rules import ConsentRules
from compliance.ends import LONGEST, EndPassed, EndRefused, end_in, later

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEW_YORK = ConsentRules(zone=ZoneInfo("America/New_York"))
UTC_RULES = ConsentRules()


@pytest.mark.parametrize(
    ("text", "rules", "end"),
    [
        ("2026-03-01", UTC_RULES, datetime(2026, 3, 2, tzinfo=UTC)),
        ("2026-12-31", NEW_YORK, datetime(2027, 1, 1, 5, tzinfo=UTC)),
        ("2026-03-08", NEW_YORK, datetime(2026, 3, 9, 4, tzinfo=UTC)),  # the day on which summer time begins
        ("2026-12-31T18:00:00Z", NEW_YORK, datetime(2026, 12, 31, 18, tzinfo=UTC)),
        (" 2026-12-31t18:00+02:00 ", NEW_YORK, datetime(2026, 12, 31, 16, tzinfo=UTC)),
        ("2026-12-31 18:00:00.5Z", UTC_RULES, datetime(2026, 12, 31, 18, 0, 0, 500_000, tzinfo=UTC)),
    ],
)
def test_an_entry_stays_in_force_through_its_day_or_up_to_its_moment(text: str, rules: ConsentRules, end: datetime):
    assert end_in(text, rules, AT) == end


@pytest.mark.parametrize(
    "text",
    ["", "31.12.2026", "12/31/2026", "2026-13-01", "2026-02-30", "20261231", "2026-12-31T18:00", "2026-W53-1", "1",
     "9999-12-31", "٢٠٢٦-١٢-٣١", "2026-12-31T25:00Z", "tomorrow"],
)  # fmt: skip
def test_what_is_no_day_and_no_moment_is_refused(text: str):
    with pytest.raises(EndRefused, match=r"is no end: write a day as 2026-12-31"):
        end_in(text, UTC_RULES, AT)


@pytest.mark.parametrize("text", ["2026-02-28", "2026-03-01T12:00:00Z", "1990-01-01"])
def test_an_end_that_has_passed_is_refused(text: str):
    with pytest.raises(EndPassed, match="has passed"):
        end_in(text, UTC_RULES, AT)


def test_an_end_after_a_hundred_years_is_a_typing_error():
    with pytest.raises(EndRefused, match="more than 100 years"):
        end_in("3026-12-31", UTC_RULES, AT)
    assert end_in(f"{AT + LONGEST:%Y-%m-%dT%H:%M:%SZ}", UTC_RULES, AT) == AT + LONGEST


def test_no_end_outlives_every_end_and_of_two_ends_the_later_one_holds():
    soon, late = AT, AT + timedelta(days=1)
    assert [later(soon, late), later(late, soon), later(soon, None), later(None, late)] == [late, late, None, None]
