"""Patterns: the first digits of numbers, with their country code and at least three digits more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.numbers import normalize
from compliance.patterns import UnfitPattern, country_code_of, pattern_of, samples


@pytest.mark.parametrize(
    ("text", "region", "pattern"),
    [
        ("1415", "US", "1415"),
        ("+1 415", "US", "1415"),
        (" +1 (415) 555 ", "US", "1415555"),
        ("+1-415.555", "DE", "1415555"),
        ("+1415*", "US", "1415"),
        ("1415xxxxxxx", "CA", "1415"),
        ("+1415XXX", "US", "1415"),
        ("+49 30/1", "US", "49301"),
        ("49301", "DE", "49301"),
        ("33145", "FR", "33145"),
        ("+44207", "US", "44207"),
        ("+353861", "US", "353861"),
        ("+39066", "US", "39066"),
        ("+5411 5", "US", "54115"),
        ("+55119", "US", "55119"),
        ("+8001234", "US", "8001234"),
        ("+1415555010", "US", "1415555010"),
        ("+1911", "US", "1911"),
    ],
)
def test_a_pattern_is_the_country_code_and_three_digits_or_more(text, region, pattern):
    assert pattern_of(text, region) == pattern


@pytest.mark.parametrize(
    ("text", "region", "said"),
    [
        ("", "US", "is missing"),
        ("  ", "US", "is missing"),
        ("***", "US", "is missing"),
        ("+", "US", "is not a pattern"),
        ("+141", "US", "too short: write the country code, 1, and at least 3 more digits"),
        ("1", "US", "too short"),
        ("141", "US", "too short"),
        ("+4930", "US", "the country code, 49"),
        ("+35386", "US", "the country code, 353"),
        ("+4420", "GB", "too short"),
        ("+14155550100", "US", "a whole number, not a pattern: put it on the list"),
        ("+141555501001", "US", "whole number"),
        ("+442079460000", "US", "whole number"),
        ("+999123", "US", "No country"),
        ("+1x415", "US", "is not a pattern"),
        ("1415,1416", "US", "is not a pattern"),
        ("+1415?", "US", "is not a pattern"),
        ("+1?15", "US", "is not a pattern"),
        ("1415|1416", "US", "is not a pattern"),
        ("++1415", "US", "is not a pattern"),
        ("\u0661\u0664\u0661\u0665", "US", "is not a pattern"),
        ("+1415\n1416", "US", "is not a pattern"),
    ],
)
def test_what_is_too_short_too_long_or_no_beginning_of_numbers_is_refused_with_what_to_write(text, region, said):
    with pytest.raises(UnfitPattern, match=said):
        pattern_of(text, region)


@pytest.mark.parametrize(
    ("text", "region"), [("415", "US"), ("415555", "US"), ("4930", "US"), ("030123", "DE"), ("0049301", "DE")]
)
def test_digits_without_plus_and_country_code_are_not_guessed(text, region):
    """415555 would be an exchange in California, or a part of Switzerland."""
    code = {"US": "1", "DE": "49"}[region]
    told = rf"has no country code: write \+ and the country code first; for {region} it is \+{code}\."
    with pytest.raises(UnfitPattern, match=told):
        pattern_of(text, region)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("+5215512", "+5255"),
        ("+549115", "+54115"),
        ("+33262", "+262262"),
        ("+33693", "+262693"),
        ("+972222", "+970222"),
        ("+84162", "+8432"),
        ("+353481234", "+44281234"),
        ("+55118", "+55119"),
    ],
)
def test_a_pattern_of_a_form_in_which_no_number_is_kept_would_block_nothing_and_is_refused(text, kept):
    with pytest.raises(UnfitPattern, match=rf"on record in another form, such as \{kept}"):
        pattern_of(text, "US")


@pytest.mark.parametrize("text", ["+590690", "+262262", "+52551", "+54115", "+970222", "+847012", "+55119", "+390549"])
def test_the_form_in_which_numbers_are_kept_is_a_pattern(text):
    assert pattern_of(text, "US") == text[1:]


@given(st.from_regex(r"[2-9][02-9][0-9][2-9][0-9]{6}", fullmatch=True), st.integers(4, 10))
def test_every_beginning_of_a_number_is_a_pattern_that_covers_it(national, length):
    number = normalize(f"+1{national}", "US")
    assert number[1:].startswith(pattern_of(number[: length + 1], "US"))


def test_no_number_begins_with_a_service_code_of_the_north_american_plan():
    assert list(samples("1911")) == []
    assert list(samples("1415"))


@pytest.mark.parametrize(("pattern", "code"), [("1415", 1), ("49301", 49), ("353861", 353), ("999123", None), ("7", 7)])
def test_the_country_code_is_the_one_that_a_country_has(pattern, code):
    assert country_code_of(pattern) == code
