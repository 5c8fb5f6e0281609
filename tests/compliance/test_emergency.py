"""Emergency calls are recognised by exact match, with and without the PBX prefix."""

import phonenumbers
import pytest

from compliance.numbers import LONGEST_EMERGENCY_NUMBER, emergency_number


@pytest.mark.parametrize(
    ("dialed", "region", "prefix", "number"),
    [
        ("911", "US", "", "911"),
        ("112", "US", "", "112"),
        ("999", "GB", "", "999"),
        ("110", "DE", "", "110"),
        ("000", "AU", "", "000"),
        ("090", "UA", "", None),
        ("90000", "SE", "", "90000"),
        ("124422", "ER", "", "124422"),
        ("911", "US", "9", "911"),
        ("9911", "US", "9", "911"),
        ("9112", "US", "9", "112"),
        ("9999", "GB", "9", "999"),
        ("999", "GB", "9", "999"),
        ("0000", "AU", "0", "000"),
        ("000", "AU", "0", "000"),
        ("9001911", "US", "9001", "911"),
        ("911", "US", "911", "911"),
    ],
)
def test_an_emergency_number_is_one_with_and_without_the_prefix(dialed, region, prefix, number):
    assert emergency_number(dialed, region, prefix) == number


@pytest.mark.parametrize(
    ("dialed", "prefix"),
    [
        ("9112024561111", ""),
        ("911911", ""),
        ("9110", ""),
        ("91", ""),
        ("11", "9"),
        ("99911", "9"),
        ("1911", "9"),
        ("9911", ""),
        ("911p1", ""),
        ("911;ext=1", ""),
        (" 911", ""),
        ("911 ", ""),
        ("911\n", ""),
        ("9-1-1", ""),
        ("+911", ""),
        ("+1911", ""),
        ("1911", ""),
        ("911#", ""),
        ("*911", ""),
        ("911@pbx", ""),
        ("sip:911@pbx", ""),
        ("tel:911", ""),
        ("٩١١", ""),
        ("９１１", ""),
        ("⁹¹¹", ""),
        ("9١1", ""),
        ("", ""),
        ("", "9"),
        ("9", "9"),
        ("999", ""),
    ],
)
def test_what_only_resembles_one_is_none(dialed, prefix):
    assert emergency_number(dialed, "US", prefix) is None


def test_the_emergency_number_of_one_country_is_not_that_of_another():
    assert emergency_number("999", "US") is None
    assert emergency_number("911", "GB") is None


def test_an_unknown_region_has_none():
    assert emergency_number("911", "ZZ") is None
    assert emergency_number("112", "") is None


def test_no_digits_of_up_to_six_are_one_unless_the_library_says_so():
    numbers = [f"{value:0{width}d}" for width in (1, 2, 3, 4) for value in range(10**width)]
    found = {number for number in numbers if emergency_number(number, "US")}
    assert found == {"911", "112"}


def test_no_country_has_a_longer_emergency_number_than_is_looked_for():
    described = [phonenumbers.PhoneMetadata.short_metadata_for_region(r) for r in phonenumbers.SUPPORTED_REGIONS]
    lengths = [max(one.emergency.possible_length) for one in described if one is not None and one.emergency is not None]
    assert max(lengths) == LONGEST_EMERGENCY_NUMBER
