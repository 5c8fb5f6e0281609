"""A search text in any format is read as the beginning of a number."""

import pytest

from admin_web.queries.lists import beginning_of


@pytest.mark.parametrize(
    ("typed", "region", "beginning"),
    [
        ("(415) 555-0100", "US", "+14155550100"),
        ("415 555", "US", "+1415555"),
        ("1 415 555", "US", "+1415555"),
        ("+1 (415)", "US", "+1415"),
        ("+1", "US", "+1"),
        ("020 7946", "GB", "+44207946"),
        ("+44 20", "US", "+4420"),
        ("0044 20", "GB", "+4420"),
        ("4", "US", ""),
        ("+", "US", ""),
        ("00", "US", ""),
        ("", "US", ""),
        ("Smith", "US", ""),
        ("415 ext", "US", ""),
        ("٤١٥٥", "US", ""),
    ],
)
def test_the_beginning_of_a_number(typed: str, region: str, beginning: str):
    assert beginning_of(typed, region) == beginning
