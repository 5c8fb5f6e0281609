"""Read digits as a number of a country's plan, and return its key."""

import re
from functools import cache

import phonenumbers
from phonenumbers import (
    CountryCodeSource,
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberType,
    ValidationResult,
)

from compliance.numbers.kinds import E164
from compliance.numbers.refusal import InvalidNumber
from compliance.numbers.same_telephone import FRENCH_OVERSEAS, canonical

NANP_REGIONS = frozenset(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1])
# No area code ends in 11, because 211 to 911 are service codes of the North American plan.
NANP = "[2-9](?!11)[0-9]{2}[2-9][0-9]{6}"
_NANP_PLAN = re.compile(NANP)

# Codes before a number that select a carrier for one call. The library does not know these codes.
_CARRIER_CODES = {
    **dict.fromkeys(NANP_REGIONS, re.compile("101[0-9]{4}[0-9]{7}")),
    "DE": re.compile("010"),  # 010xx and 0100xx
    "AT": re.compile("10[0-9]{2}0"),
    "IT": re.compile("10[0-9]{2}[03]"),
}
_MEXICAN_PREFIX = re.compile(r"(?:01|04[45])(?=\d{10}\Z)")
_FRENCH_NUMBER = re.compile("0[1-7][0-9]{8}")

_LENGTHS = {
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "local-form",
    ValidationResult.TOO_SHORT: "too-short",
    ValidationResult.TOO_LONG: "too-long",
    ValidationResult.INVALID_LENGTH: "wrong-length",
}
_UNREADABLE = {
    NumberParseException.INVALID_COUNTRY_CODE: "unknown-country",
    NumberParseException.TOO_LONG: "too-long",
}
_LANDLINES = (PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
LONGEST_LOCAL_NUMBER = 8
"""Maximum number of digits of a number without its area code, in countries where callers do not dial a company's
extension as part of the number.
"""
LONGEST_CLOSED_LANDLINE = 11
"""Maximum number of digits of a landline with its area code in such countries. In Germany and Austria landlines have
up to 15.
"""


def key_of(digits: str, region: str) -> E164:
    """Return the key of an international number with `+`, or of digits as dialled in `region`. Raises InvalidNumber."""
    if digits in {"", "+"}:
        raise InvalidNumber("empty")
    if digits[0] == "+":
        return _key(_parse(digits, None))
    if (code := _CARRIER_CODES.get(region)) and code.match(digits):
        raise InvalidNumber("carrier-code")
    if region == "MX":
        digits = _MEXICAN_PREFIX.sub("", digits)
    elif region in FRENCH_OVERSEAS and _FRENCH_NUMBER.fullmatch(digits):
        region = "FR"
    number = _parse(digits, region)
    if number.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return _key(number)
    # The library read the first digits as the country code. Digits with their country code must also parse with +.
    if number.country_code_source == CountryCodeSource.FROM_NUMBER_WITHOUT_PLUS_SIGN:
        return _key(_parse(f"+{digits}", None))
    national = phonenumbers.national_significant_number(number)
    if len(national) > len(digits):  # If a small country has only one area code, the library adds it.
        raise InvalidNumber("local-form")
    return _read_bare(number, region) if national == digits else _key(number)


def _read_bare(number: PhoneNumber, region: str) -> E164:
    """Return the number of digits that have neither `+` nor a national prefix. Raises InvalidNumber.

    The digits may be a local number without its area code, or may begin with the region's country code. Their length
    does not show which. If both readings are possible, the library's metadata must know exactly one of the numbers. In
    any case the digits must not be a local number; +1 is an exception, because its local numbers have seven digits.
    """
    if reason := _fault(number):
        raise InvalidNumber(reason)
    digits = phonenumbers.national_significant_number(number)
    code = str(number.country_code)
    longer = _possible(f"+{digits}") if digits.startswith(code) else None
    if longer is not None:
        known = [reading for reading in (number, longer) if phonenumbers.is_valid_number(reading)]
        if len(known) != 1:
            raise InvalidNumber("ambiguous")
        if known[0] is longer:
            return _key(longer)
    if code != "1" and not _is_whole(number, digits, region):
        raise InvalidNumber("local-form")
    return _key(number)


def _is_whole(number: PhoneNumber, digits: str, region: str) -> bool:
    """Return whether digits without a national prefix cannot be a local number.

    The library alone would take the first digits of a local number for an area code (Germany, Austria, Sweden, Korea).
    """
    is_known = phonenumbers.is_valid_number(number)
    longest = _longest_landline(region)
    is_long = len(digits) >= min(longest, LONGEST_LOCAL_NUMBER + 1)
    if not phonenumbers.ndd_prefix_for_region(region, True):
        return is_known or is_long or digits[0] == "0"
    written = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    if phonenumbers.normalize_digits_only(written) == digits:  # Some numbers are never dialled with the prefix.
        return is_known
    if longest > LONGEST_CLOSED_LANDLINE and phonenumbers.number_type(number) in _LANDLINES:
        return is_known and len(digits) >= longest
    return is_known and is_long


@cache
def _longest_landline(region: str) -> int:
    """Return the maximum number of digits of a landline with its area code."""
    metadata = PhoneMetadata.metadata_for_region(region)
    kinds = (metadata.fixed_line, metadata.general_desc) if metadata else ()
    return max(next((kind.possible_length for kind in kinds if kind and kind.possible_length), ()), default=0)


def _possible(digits: str) -> PhoneNumber | None:
    """Parse `+` and digits; return None if they cannot be a number."""
    try:
        return _parse(_key(_parse(digits, None)), None)
    except InvalidNumber:
        return None


def _parse(digits: str, region: str | None) -> PhoneNumber:
    """Parse `digits` with the library. Without a region they need `+`.

    Raises InvalidNumber, also if the digits contain a carrier code.
    """
    try:
        # Only with keep_raw_input does the library set country_code_source and the carrier code.
        number = phonenumbers.parse(digits, region, keep_raw_input=True)
    except NumberParseException as error:
        raise InvalidNumber(_UNREADABLE.get(error.error_type, "too-short")) from None
    if number.preferred_domestic_carrier_code:
        raise InvalidNumber("carrier-code")
    return number


def _key(number: PhoneNumber) -> E164:
    """Return the E.164 key of a telephone. Raises InvalidNumber if parsing the key gives another key."""
    written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    key = canonical(written, number.country_code or 0)
    if key != number.raw_input:
        number = _parse(key, None)
    if key != phonenumbers.format_number(number, PhoneNumberFormat.E164):
        # The digits have one prefix too many, in a country whose numbers may begin with the digits of the prefix.
        raise InvalidNumber("not-in-plan")
    if reason := _fault(number):
        raise InvalidNumber(reason)
    return E164(key)


def _fault(number: PhoneNumber) -> str:
    """Return the reason why `number` cannot be a number of its country; empty if it can be.

    The check does not ask whether the number is in service, because old metadata must not refuse a new area code.
    """
    if reason := _LENGTHS.get(phonenumbers.is_possible_number_with_reason(number)):
        return reason
    national = phonenumbers.national_significant_number(number)
    length = len(str(number.country_code)) + len(national)
    if not 7 <= length <= 15:  # ITU-T E.164 allows at most 15 digits, and no subscriber's number has fewer than 7.
        return "too-short" if length < 7 else "too-long"
    if number.country_code == 39 and national.startswith(("00", "03")) and not phonenumbers.is_valid_number(number):
        # In Italy only landlines keep the zero. So +39 (0)333… is a mobile number with an extra zero.
        return "not-in-plan"
    if number.country_code in _OVERSEAS_CODES and national.startswith("9") and not phonenumbers.is_valid_number(number):
        # Numbers of internet providers begin with 09 in France and in all its regions overseas.
        return "local-form"
    in_plan = any(plan.fullmatch(national) for plan in _plans(number.country_code))
    return "" if in_plan else "not-in-plan"


_OVERSEAS_CODES = frozenset(map(phonenumbers.country_code_for_region, FRENCH_OVERSEAS))


@cache
def _plans(country_code: int) -> list[re.Pattern[str]]:
    """Return patterns for the national numbers of a country code, one for each region that shares it.

    Without this check a number with an extra prefix would be accepted as a second key of the same telephone. In a
    country with the trunk prefix 0, no national number begins with a zero: such a zero is an extra prefix, or the
    start of a carrier code (Japan, Korea). The pattern for +1 is that of the plan: area code and exchange begin with 2
    to 9, and no area code ends in 11.
    """
    if country_code == 1:
        return [_NANP_PLAN]
    plans = []
    for region in phonenumbers.region_codes_for_country_code(country_code):
        metadata = PhoneMetadata.metadata_for_region_or_calling_code(country_code, region)
        if metadata and metadata.general_desc:
            not_trunk = "(?!0)" if metadata.national_prefix == "0" else ""
            plans.append(re.compile(f"{not_trunk}(?:{metadata.general_desc.national_number_pattern})"))
    return plans


def known_region(region: str) -> bool:
    """Return whether `region`, two capital letters such as `US`, is a country whose numbers the library can parse."""
    return region in phonenumbers.SUPPORTED_REGIONS
