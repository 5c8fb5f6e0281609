"""Normalise dialled digits to one E.164 number or refuse them; recognise emergency numbers; mask numbers for logs.

Each telephone has one key, its E.164 number. The PBX dials the key, never the dialled digits. So if digits are misread,
the call may reach a wrong number, but never a listed number. Digits without `+` are a national number of the region, or
begin with the region's international prefix or country code. They are never a national number of another country.

Known gaps, through which a call can reach a listed person under another key:
- Germany, Austria and other countries with numbers of varying length: digits that were dialled after a complete number
  or as its extension become part of the key.
- Numbers from before a country changed its plan (Brazil's ninth digit, Colombia, Gabon).
- A country code that is written twice, if the digits are also another possible number (Germany, Indonesia). The same
  holds for a country code without `+` before a number that is newer than the library's metadata.
- Call forwarding, and one subscriber with several numbers.
"""

import re
import unicodedata
from functools import cache
from typing import NewType
from urllib.parse import unquote

import phonenumbers
from phonenumbers import (
    CountryCodeSource,
    NumberParseException,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    ValidationResult,
)

E164 = NewType("E164", str)
"""A telephone number: `+`, then country code and national number with 7 to 15 digits in all, such as `+14155550100`."""

LeadId = NewType("LeadId", str)
"""The id of a lead in the CRM: 1 to 64 ASCII letters, digits, dots, dashes and underscores."""

LONGEST_INPUT = 128
# Nearly every call is to a number longer than this. Comparing the length takes 0.06 µs, and the library's check for
# emergency numbers 7 to 8 µs:
# python -m timeit -s "from compliance.numbers import emergency_number as e" "e('4155550100', 'US')"
LONGEST_EMERGENCY_NUMBER = 6
LEAD_ID = re.compile("[A-Za-z0-9_.-]{1,64}")
_UNSHOWN = re.compile("[^+0-9]")

REFUSALS = {
    "empty": "No number was entered. Enter a telephone number.",
    "input-too-long": f"The text is longer than {LONGEST_INPUT} characters. Enter one telephone number.",
    "control-character": "The text contains a control character, such as a tab or a line break. Remove it.",
    "not-ascii-digits": "The digits are not the digits 0 to 9. Write them as 0 to 9.",
    "star-code": "The text contains * or #, which are commands to a telephone network. Enter the number without them.",
    "two-numbers": "This looks like more than one number. Enter one number at a time.",
    "post-dial": "The number is followed by digits to send after the answer. Enter the number without them.",
    "letters": "The text contains letters. Write the number in digits.",
    "misplaced-plus": "Only one + is allowed, at the beginning. Remove the others.",
    "unexpected-character": "The text contains a character that no telephone number has. Remove it.",
    "malformed": "This cannot be read as one number. Enter one telephone number.",
    "malformed-uri": "This is not a tel: or sip: address of one number. Enter the number alone.",
    "uri-parameter": "A parameter of this address changes its meaning. Enter the full number without the parameter.",
    "carrier-code": "The number begins with a code that selects a carrier. Enter the number without the code.",
    "unknown-country": "No country has this country code. Check the digits after the +.",
    "local-form": "This may be a local number. Write it with + and country code, or as dialled from another town.",
    "too-short": "Digits are missing. Write the whole number, with its area code.",
    "too-long": "The number has too many digits for its country. Check them.",
    "wrong-length": "No number of this country has this many digits. Check them.",
    "not-in-plan": "No number of this country begins with these digits. Check the area code and the digits after it.",
    "ambiguous": "With and without a country code these digits are two numbers. Write + and the country code first.",
}
"""Each reason why a text is not one telephone number, with a sentence that says what to do."""


class InvalidNumber(ValueError):
    """The text is not one telephone number. `reason` is a key of `REFUSALS`, and `str()` returns its sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return REFUSALS[self.reason]


NANP_REGIONS = frozenset(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1])
# No area code ends in 11, because 211 to 911 are service codes of the North American plan.
_NANP = "[2-9](?!11)[0-9]{2}[2-9][0-9]{6}"
_NANP_PLAN = re.compile(_NANP)
_COMMON = re.compile(rf"(?:\+?1)?{_NANP}")
# 101XXXX selects a carrier for one call. The library knows no carrier codes for +1, and would report too many digits.
_DIAL_AROUND = re.compile("101[0-9]{4}[0-9]{7}")

# RFC 3966 defines tel:, and RFC 3261 (19.1) defines sip: and sips:. Parameters before the @ belong to the number.
_ADDRESS = re.compile(r"(tel:|sips?:)?([^;@]*)((?:;[^;@]*)*)(?:@([^@]*))?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9.:_\[\]-]+(?:;user=phone|;transport=[a-z]+)*", re.IGNORECASE)
# An extension or an ISDN subaddress (RFC 3966) does not change which telephone rings.
_DROPPED = re.compile(r"(?:;ext=[0-9().-]+|;isub=[0-9a-z.%+-]+)*", re.IGNORECASE)
_EXTENSION = re.compile(r"[ ,]*(?:x|extension|extn?\.?)[ .:]*[0-9]{1,8} *\Z", re.IGNORECASE)
_WRITTEN = re.compile(r"[ ().-]*\+?[0-9 ().-]*")
_SEPARATORS = str.maketrans("", "", " ().-")
# The order matters, because the first pattern that is found names the reason.
_FAULTS = (
    ("control-character", re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")),
    ("not-ascii-digits", re.compile(r"(?![0-9])[\d\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]")),
    ("star-code", re.compile(r"[*#]")),
    ("two-numbers", re.compile(r"[/&]|\b(?:or|and)\b|[,;](?:[^0-9]*[0-9]){7}", re.IGNORECASE)),
    ("post-dial", re.compile(r"[0-9)] *[pw,;][0-9pw,; ]*\Z", re.IGNORECASE)),
    ("letters", re.compile(r"[^\W\d_]")),
    ("misplaced-plus", re.compile(r"\+")),
    ("unexpected-character", re.compile(r"")),
)

_ALIASES = (
    # Mexico: until 2019 callers dialled a 1 after the country code, or a national prefix, before mobile numbers.
    (re.compile(r"\+52(?:1|01|04[45])(\d{10})\Z"), r"+52\1"),
    # Argentina: callers from abroad dial a 9 before mobile numbers. The ten digits after the 9 identify the telephone.
    (re.compile(r"\+549(\d{10})\Z"), r"+54\1"),
    # San Marino: landlines can also be dialled through Italy's area code 0549.
    (re.compile(r"\+39(0549\d{6})\Z"), r"+378\1"),
    # Northern Ireland: callers in the Republic of Ireland can dial it as area code 048.
    (re.compile(r"\+35348(\d{8})\Z"), r"+4428\1"),
    # Palestine: numbers can also be dialled through +972. These are the ranges of +970 in the library's metadata.
    (re.compile(r"\+972((?:22[2-47-9]|42[45]|82[014-68]|92[3569])\d{5}|5[69]\d{7})\Z"), r"+970\1"),
)
_MEXICAN_PREFIX = re.compile(r"(?:01|04[45])(?=\d{10}\Z)")

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


def normalize(dialed: str, region: str, prefix: str = "") -> E164:
    """Return the E.164 number that `dialed` means in `region` (ISO 3166, such as `US`). Raises InvalidNumber.

    `prefix` is the digits that the PBX puts before outside numbers. It is removed once, from digits without `+`.
    """
    # This short cut takes 1 µs. The library takes 23 to 47 µs to parse, validate and format the number. A hypothesis
    # test checks that both return the same number.
    # python -m timeit -s "from compliance.numbers import normalize" "normalize('4155550100', 'US')"
    if _COMMON.fullmatch(dialed):
        if dialed[0] == "+":
            return E164(dialed)
        if region in NANP_REGIONS and not (prefix and dialed.startswith(prefix)):
            return E164(f"+1{dialed[-10:]}")
    return _read(_digits(dialed, prefix), region)


def common_form(region: str) -> str:
    """Return a pattern for numbers of +1 that need no parsing in `region`. Its group `national` is the part after +1.

    A scrub applies the pattern to whole columns of a list.
    """
    written = r"(?:\+?1)?" if region in NANP_REGIONS else r"\+1"
    return f"{written}(?P<national>{_NANP})"


def _digits(dialed: str, prefix: str) -> str:
    """Remove separators, address syntax, extension and `prefix`; return digits, after `+` if there was one.

    Raises InvalidNumber.
    """
    if len(dialed) > LONGEST_INPUT:
        raise InvalidNumber("input-too-long")
    text = dialed if dialed.isascii() else "".join(map(_plain, dialed))
    text = _EXTENSION.sub("", _without_address(text.strip(" ")))
    if not _WRITTEN.fullmatch(text):
        raise InvalidNumber(next(reason for reason, pattern in _FAULTS if pattern.search(text)))
    digits = text.translate(_SEPARATORS).removeprefix(prefix)
    if digits in {"", "+"}:
        raise InvalidNumber("empty")
    return digits


def _plain(char: str) -> str:
    """Return the ASCII form of a separator, nothing for a formatting character, and any other character unchanged."""
    category = unicodedata.category(char)
    # Numbers that were copied from web pages contain marks such as U+202A, which only set the direction of the text.
    if category == "Cf":
        return ""
    if category == "Zs":
        return " "
    return "-" if category == "Pd" or char == "\N{MINUS SIGN}" else char


def _without_address(text: str) -> str:
    """Return the number of a `tel:` (RFC 3966) or SIP (RFC 3261) address, without extension and subaddress.

    Return `text` unchanged if it is no such address. Raises InvalidNumber for a malformed address.
    """
    parts = _ADDRESS.fullmatch(text)
    if parts is None:
        raise InvalidNumber("malformed-uri")
    scheme, number, parameters, host = parts.groups()
    harmless = _DROPPED.fullmatch(parameters)
    # Unknown parameters must not be dropped. ;phone-context, for example, names the plan that a local number belongs to
    # (RFC 3966), and without it the digits mean another number.
    if not harmless and (scheme or host is not None or "=" in parameters):
        raise InvalidNumber("uri-parameter")
    if not scheme and host is None:
        return number if harmless else text
    is_tel = scheme is not None and scheme.lower() == "tel:"
    if is_tel == (host is not None) or (host is not None and not _HOST.fullmatch(host)):
        raise InvalidNumber("malformed-uri")
    return unquote(number)


def _read(digits: str, region: str) -> E164:
    """Parse the result of `_digits`: an international number with `+`, or digits as dialled in `region`.

    Raises InvalidNumber.
    """
    if digits[0] == "+":
        return _key(_parse(digits, None))
    if region in NANP_REGIONS and _DIAL_AROUND.match(digits):
        raise InvalidNumber("carrier-code")
    if region == "MX":
        digits = _MEXICAN_PREFIX.sub("", digits)
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
    does not show which. If both readings are possible, the library's metadata must know exactly one of the numbers. If
    the country has a national prefix, the metadata must know the number in any case; +1 is an exception.
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
        return _key(known[0])
    has_prefix = code != "1" and phonenumbers.ndd_prefix_for_region(region, True)
    if has_prefix and not phonenumbers.is_valid_number(number):
        raise InvalidNumber("local-form")
    return _key(number)


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
    key = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    for pattern, canonical in _ALIASES:
        key = pattern.sub(canonical, key)
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
    in_plan = any(plan.fullmatch(national) for plan in _plans(number.country_code))
    return "" if in_plan else "not-in-plan"


@cache
def _plans(country_code: int) -> list[re.Pattern[str]]:
    """Return patterns for the national numbers of a country code, one for each region that shares it.

    Without this check a number with an extra prefix would be accepted as a second key of the same telephone. In a
    country with the trunk prefix 0, no national number begins with a zero: it would be an extra prefix, or the start of
    a carrier code (Japan, Korea). The pattern for +1 is that of the plan: area code and exchange begin with 2 to 9, and
    no area code ends in 11.
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


def emergency_number(dialed: str, region: str, prefix: str = "") -> str | None:
    """Return the emergency number of `region` that was dialled, such as `911`; None for any other digits.

    The digits must match exactly, with the PBX prefix or without it (Kari's law, 47 U.S.C. 623).
    """
    if len(dialed) > LONGEST_EMERGENCY_NUMBER + len(prefix) or not (dialed.isascii() and dialed.isdigit()):
        return None
    readings = (dialed, dialed.removeprefix(prefix))
    return next((digits for digits in readings if phonenumbers.is_emergency_number(digits, region)), None)


def lead_id(text: str) -> LeadId | None:
    """Return `text` as a lead id; None if it is not a valid lead id."""
    return LeadId(text) if LEAD_ID.fullmatch(text) else None


def mask(number: str) -> str:
    """Return a number masked for a log, such as `+1415*****00`: at most 16 characters, all `+`, digits, `*` or `?`."""
    shown = _UNSHOWN.sub("?", number[:16])
    if len(shown) < 8:
        return "*" * len(shown)
    head = shown[: min(5, len(shown) - 5)]
    return head + "*" * (len(shown) - len(head) - 2) + shown[-2:]


def known_region(region: str) -> bool:
    """Return whether `region`, two capital letters such as `US`, is a country whose numbers the library can parse."""
    return region in phonenumbers.SUPPORTED_REGIONS
