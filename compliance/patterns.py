"""Patterns: the first digits of numbers, by which the company's own list blocks an area code or an exchange."""

import re
from collections.abc import Iterator
from functools import cache
from typing import NewType

import phonenumbers
from phonenumbers import PhoneMetadata

from compliance.numbers import InvalidNumber, normalize
from compliance.refusal import Refused

Pattern = NewType("Pattern", str)
"""The first digits of E.164 numbers, without the plus: the country code and at least LEAST_DIGITS more."""

LEAST_DIGITS = 3
"""Minimum number of digits after the country code. Fewer digits would block several area codes, or a country."""

FEWEST, MOST = 7, 15
"""The fewest and the most digits of an E.164 number."""

_SEPARATORS = re.compile(r"[ ().\-/]")
_WILDCARDS = re.compile(r"[*xX]+\Z")
_DIGITS = re.compile(r"\+?[0-9]+")
_SAMPLE = "2345678901234567"


class UnfitPattern(Refused):
    """The text is not a pattern. The message says what to write."""


def pattern_of(text: str, region: str) -> Pattern:
    """Return the pattern that a person has written, such as `+1 415-555` or `+49 30*`. Raises UnfitPattern.

    Without a plus, the digits must begin with the country code of `region`. Otherwise they could be national digits:
    `415555` is an exchange of +1 to a person in the United States, and a part of Switzerland's +41 to the network.
    """
    digits = _WILDCARDS.sub("", _SEPARATORS.sub("", text.strip()))
    if not digits:
        raise UnfitPattern("The pattern is missing. Write the first digits of the numbers, such as +1415.")
    if not _DIGITS.fullmatch(digits):
        raise UnfitPattern(f"{text.strip()!r} is not a pattern: write + and the first digits, such as +1415.")
    own = phonenumbers.country_code_for_region(region)
    if not digits.startswith(("+", str(own))):
        raise UnfitPattern(
            f"{digits} has no country code: write + and the country code first; for {region} it is +{own}."
        )
    return _checked(digits.removeprefix("+"))


def country_code_of(pattern: str) -> int | None:
    """Return the country code with which a pattern begins; None if no country has it."""
    codes = (int(pattern[:length]) for length in range(1, min(4, len(pattern) + 1)))
    return next((code for code in codes if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), None)


def _checked(digits: str) -> Pattern:
    code = country_code_of(digits)
    if code is None:
        raise UnfitPattern(f"No country has the country code of +{digits}. Check the digits after the +.")
    if len(digits) < len(str(code)) + LEAST_DIGITS:
        raise UnfitPattern(
            f"+{digits} is too short: write the country code, {code}, and at least {LEAST_DIGITS} more digits. "
            "Fewer would block several area codes, or the whole country."
        )
    if len(digits) > _longest(code) - 1:
        raise UnfitPattern(f"+{digits} is a whole number, not a pattern: put it on the list.")
    if other := _other_form(digits):
        raise UnfitPattern(
            f"Numbers that are dialled as +{digits}… are on record in another form, such as {other}. "
            "Write the first digits of that form."
        )
    return Pattern(digits)


def _other_form(digits: str) -> str:
    """Return a number that is dialled with these first digits and kept with others, if all real numbers are.

    Empty if there is none. Numbers of a length that is only possible may keep their digits: see `numbers/plan.py`.
    """
    keys = list(samples(digits))
    stay = (key for key in keys if key.startswith(f"+{digits}"))
    if any(phonenumbers.is_valid_number(phonenumbers.parse(key)) for key in stay):
        return ""
    return next((key for key in keys if not key.startswith(f"+{digits}")), "")


def samples(pattern: str) -> Iterator[str]:
    """Yield the keys of some numbers that are dialled with these first digits. There may be none.

    The key of a number may begin with other digits: +52 1 55… is kept as +52 55….
    """
    for length in range(max(FEWEST, len(pattern) + 1), MOST + 1):
        for filler in range(10):
            tail = _SAMPLE[filler:] + _SAMPLE[:filler] if filler else "5550100" * 2
            try:
                yield normalize(f"+{pattern}{tail[: length - len(pattern)]}", "US")
            except InvalidNumber:
                continue


@cache
def _longest(code: int) -> int:
    """Return the most digits of a number with this country code, including the code."""
    lengths: list[int] = []
    for region in phonenumbers.region_codes_for_country_code(code):
        metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
        if metadata and metadata.general_desc:
            lengths += metadata.general_desc.possible_length
    return min(MOST, len(str(code)) + max(lengths, default=MOST))
