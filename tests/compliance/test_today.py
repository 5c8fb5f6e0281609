"""A day can be entered as soon as it has begun somewhere on earth, and no earlier."""

from datetime import UTC, date, datetime

import pytest

from compliance.today import is_to_come


@pytest.mark.parametrize(
    ("at", "day", "to_come"),
    [
        (datetime(2026, 11, 29, 9, 59, tzinfo=UTC), date(2026, 11, 30), True),
        (datetime(2026, 11, 29, 10, 0, tzinfo=UTC), date(2026, 11, 30), False),  # midnight in Kiribati
        (datetime(2026, 11, 29, 11, 0, tzinfo=UTC), date(2026, 11, 30), False),  # midnight in Auckland, in summer
        (datetime(2026, 11, 29, 23, 59, tzinfo=UTC), date(2026, 11, 30), False),
        (datetime(2026, 11, 29, 23, 59, tzinfo=UTC), date(2026, 12, 1), True),
        (datetime(2026, 11, 30, 0, 0, tzinfo=UTC), date(2026, 11, 29), False),
        (datetime(2026, 12, 31, 10, 0, tzinfo=UTC), date(2027, 1, 1), False),
    ],
)
def test_a_day_is_to_come_until_it_begins_in_the_east(at: datetime, day: date, to_come: bool):
    assert is_to_come(day, at) is to_come
