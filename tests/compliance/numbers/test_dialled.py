"""The prefix of a PBX: what is left after it, or the whole if only the whole is a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.numbers import InvalidNumber, normalize


def outcome(dialed: str, region: str, prefix: str = "") -> str:
    """Return the key, or the reason of the refusal."""
    try:
        return normalize(dialed, region, prefix)
    except InvalidNumber as error:
        return error.reason


@pytest.mark.parametrize(
    ("dialed", "region", "prefix", "number"),
    [
        ("9175550100", "US", "9", "+19175550100"),
        ("917-555-0100", "US", "9", "+19175550100"),
        ("(917) 555-0100", "US", "9", "+19175550100"),
        ("99175550100", "US", "9", "+19175550100"),
        ("919175550100", "US", "9", "+19175550100"),
        ("8175550100", "US", "81", "+18175550100"),
        ("8005550100", "US", "8", "+18005550100"),
        ("9876543210", "IN", "9", "+919876543210"),
        ("912345678", "ES", "9", "+34912345678"),
        ("06 1234 5678", "IT", "0", "+390612345678"),
        ("030 1234567", "DE", "0", "+49301234567"),
        ("0 030 1234567", "DE", "0", "+49301234567"),
    ],
)
def test_the_whole_was_dialled_if_only_the_whole_is_a_number(dialed, region, prefix, number):
    assert outcome(dialed, region, prefix) == number


@pytest.mark.parametrize(
    ("dialed", "region", "prefix", "reason"),
    [
        ("917555010", "US", "9", "too-short"),
        ("99", "US", "9", "too-short"),
        ("9", "US", "9", "empty"),
        ("95550100", "US", "9", "local-form"),
        ("0 0171 13 1234567", "DE", "0", "mailbox"),
        ("0 01033 030 123456", "DE", "0", "carrier-code"),
        ("9 1010288 415 555 0100", "US", "9", "carrier-code"),
    ],
)
def test_if_neither_is_a_number_the_reason_is_that_of_what_is_left(dialed, region, prefix, reason):
    assert outcome(dialed, region, prefix) == reason


NUMBERS = st.from_regex("[2-9](?:[02-9][0-9]|1[02-9])[2-9][0-9]{6}", fullmatch=True)


@given(NUMBERS, st.sampled_from(["9", "8", "41", "917", "2"]))
def test_every_number_of_plus_1_can_be_dialled_with_and_without_the_prefix(number, prefix):
    key = outcome(number, "US")
    assert outcome(prefix + number, "US", prefix) == key
    assert outcome(f"{prefix}1{number}", "US", prefix) == key
    assert outcome(number, "US", prefix) == key
