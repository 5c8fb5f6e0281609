"""From what was dialled to one E.164 number, or a refusal that says why; emergency numbers; numbers in logs.

One telephone has one key. What the PBX dials afterwards is the key, so a digit string that is misread can reach a
wrong number, but never a listed one. Digits without `+` are national ones of the region, or carry that region's own
international prefix or country code; they are never taken for another country's.

Known and not closed: digits dialled beyond a complete number, and extensions dialled straight through, in countries
whose numbers vary in length (Germany, Austria); numbers from before a country was renumbered (Brazil's ninth digit,
Colombia, Gabon); a country code written twice, or without `+` before a number newer than the library's metadata, where
the digits make another possible number (Germany, Indonesia); forwarding, and one subscriber with several numbers.
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
"""A telephone, as `+`, country code and national number: 7 to 15 digits, `+14155550100`."""

LeadId = NewType("LeadId", str)
"""The CRM's name of a lead: 1 to 64 ASCII letters, digits, dots, dashes and underscores."""

LONGEST_INPUT = 128
LONGEST_EMERGENCY_NUMBER = 6
LEAD_ID = re.compile("[A-Za-z0-9_.-]{1,64}")
_UNSHOWN = re.compile("[^+0-9]")

REFUSALS = {
    "empty": "Nothing was dialled. Give a telephone number.",
    "input-too-long": f"This is longer than {LONGEST_INPUT} characters. Give one telephone number.",
    "control-character": "There is a control character, such as a tab or a line break, in it. Take it out.",
    "not-ascii-digits": "Its digits are not 0 to 9. Write them as 0 to 9.",
    "star-code": "It holds * or #, which are commands to a telephone network. Give the number without them.",
    "two-numbers": "This looks like more than one number. Give one at a time.",
    "post-dial": "Digits to be sent after the answer follow the number. Give the number without them.",
    "letters": "There are letters in it. Write the number in digits.",
    "misplaced-plus": "A + may only stand once, in front. Take out the others.",
    "unexpected-character": "There is a character in it that does not belong in a number. Take it out.",
    "malformed-uri": "This is not a tel: or sip: address of one number. Give the number alone.",
    "uri-parameter": "A parameter of this address changes its meaning. Give the number in full, without it.",
    "carrier-code": "It begins with a code that selects a carrier. Give the number without it.",
    "unknown-country": "No country has this country code. Check the digits after the +.",
    "local-form": "This may be a local number. Write it with + and country code, or as dialled from another town.",
    "too-short": "Digits are missing. Write the whole number, with its area code.",
    "too-long": "There are too many digits for a number of this country. Check them.",
    "wrong-length": "No number of this country has this many digits. Check them.",
    "not-in-plan": "No number of this country begins like this. Check the area code and what follows it.",
    "ambiguous": "With and without a country code these digits are two numbers. Write + and country code in front.",
}
"""Each reason why something is not one telephone number, and what to do about it, for people."""


class InvalidNumber(ValueError):
    """What was dialled is not one telephone number. `reason` is a slug of `REFUSALS`; the text is its sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return REFUSALS[self.reason]


NANP_REGIONS = frozenset(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1])
_NANP = "[2-9](?!11)[0-9]{2}[2-9][0-9]{6}"
_NANP_PLAN = re.compile(_NANP)
_COMMON = re.compile(rf"(?:\+?1)?{_NANP}")
_DIAL_AROUND = re.compile("101[0-9]{4}[0-9]{7}")

_ADDRESS = re.compile(r"(tel:|sips?:)?([^;@]*)((?:;[^;@]*)*)(?:@([^@]*))?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9.:_\[\]-]+(?:;user=phone|;transport=[a-z]+)*", re.IGNORECASE)
_DROPPED = re.compile(r"(?:;ext=[0-9().-]+|;isub=[0-9a-z.%+-]+)*", re.IGNORECASE)
_EXTENSION = re.compile(r"[ ,]*(?:x|extension|extn?\.?)[ .:]*[0-9]{1,8} *\Z", re.IGNORECASE)
_WRITTEN = re.compile(r"[ ().-]*\+?[0-9 ().-]*")
_SEPARATORS = str.maketrans("", "", " ().-")
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
    # The 1 that came before Mexican mobiles until 2019, and the prefixes of that time.
    (re.compile(r"\+52(?:1|01|04[45])(\d{10})\Z"), r"+52\1"),
    # The 9 that callers from abroad put before Argentine mobiles: the ten digits after it name the telephone.
    (re.compile(r"\+549(\d{10})\Z"), r"+54\1"),
    # San Marino's landlines have an area code of Italy's plan too.
    (re.compile(r"\+39(0549\d{6})\Z"), r"+378\1"),
    # Northern Ireland, as it is dialled from the Republic.
    (re.compile(r"\+35348(\d{8})\Z"), r"+4428\1"),
    # Palestinian numbers stand in Israel's plan too; the ranges are those of +970 in the library's metadata.
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
    """Give the one telephone that `dialed` means in `region`, a country as in ISO 3166, `US`. Raises InvalidNumber.

    `prefix` is what the PBX puts before outside numbers. It is taken off once from what begins with it and has no `+`.
    """
    if _COMMON.fullmatch(dialed):
        if dialed[0] == "+":
            return E164(dialed)
        if region in NANP_REGIONS and not (prefix and dialed.startswith(prefix)):
            return E164(f"+1{dialed[-10:]}")
    return _read(_digits(dialed, prefix), region)


def common_form(region: str) -> str:
    """Give the pattern of what `normalize` only has to put in order; what follows +1 is its group `national`."""
    written = r"(?:\+?1)?" if region in NANP_REGIONS else r"\+1"
    return f"{written}(?P<national>{_NANP})"


def _digits(dialed: str, prefix: str) -> str:
    """Take away all that is only writing: `+` and digits remain. Raises InvalidNumber."""
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
    """Write one character in ASCII if it only separates, and drop it if it only steers the display of text."""
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    if category == "Zs":
        return " "
    return "-" if category == "Pd" or char == "\N{MINUS SIGN}" else char


def _without_address(text: str) -> str:
    """Take the number out of a `tel:` (RFC 3966) or SIP address (RFC 3261), without extension and subaddress."""
    parts = _ADDRESS.fullmatch(text)
    if parts is None:
        raise InvalidNumber("malformed-uri")
    scheme, number, parameters, host = parts.groups()
    harmless = _DROPPED.fullmatch(parameters)
    if not harmless and (scheme or host is not None or "=" in parameters):
        raise InvalidNumber("uri-parameter")
    if not scheme and host is None:
        return number if harmless else text
    is_tel = scheme is not None and scheme.lower() == "tel:"
    if is_tel == (host is not None) or (host is not None and not _HOST.fullmatch(host)):
        raise InvalidNumber("malformed-uri")
    return unquote(number)


def _read(digits: str, region: str) -> E164:
    """Read what `_digits` left: `+` and the country code, or what is dialled in `region`. Raises InvalidNumber."""
    if digits[0] == "+":
        return _key(_parse(digits, None))
    if region in NANP_REGIONS and _DIAL_AROUND.match(digits):
        raise InvalidNumber("carrier-code")
    if region == "MX":
        digits = _MEXICAN_PREFIX.sub("", digits)
    number = _parse(digits, region)
    if number.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return _key(number)
    if number.country_code_source == CountryCodeSource.FROM_NUMBER_WITHOUT_PLUS_SIGN:
        return _key(_parse(f"+{digits}", None))
    national = phonenumbers.national_significant_number(number)
    if len(national) > len(digits):  # the library has put a small country's only area code in front
        raise InvalidNumber("local-form")
    return _read_bare(number, region) if national == digits else _key(number)


def _read_bare(number: PhoneNumber, region: str) -> E164:
    """Read digits that begin with no `+` and no prefix. Raises InvalidNumber.

    They may be a local number, to which the area code is missing, or begin with the region's country code. The
    length alone does not tell, so the library's metadata must know the number, and only one of its two readings.
    Countries that have no prefix for national numbers have no other way of writing them; neither need those of +1.
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
    """Read `+` and digits; None when they cannot be a number."""
    try:
        return _parse(_key(_parse(digits, None)), None)
    except InvalidNumber:
        return None


def _parse(digits: str, region: str | None) -> PhoneNumber:
    """Let the library read `digits`; with no region a `+` is needed. Raises InvalidNumber, for a carrier code too."""
    try:
        number = phonenumbers.parse(digits, region, keep_raw_input=True)
    except NumberParseException as error:
        raise InvalidNumber(_UNREADABLE.get(error.error_type, "too-short")) from None
    if number.preferred_domestic_carrier_code:
        raise InvalidNumber("carrier-code")
    return number


def _key(number: PhoneNumber) -> E164:
    """Give the one key of a telephone: what it is read as once more, if it reads as itself. Raises InvalidNumber."""
    key = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    for pattern, canonical in _ALIASES:
        key = pattern.sub(canonical, key)
    if key != number.raw_input:
        number = _parse(key, None)
    if key != phonenumbers.format_number(number, PhoneNumberFormat.E164):
        raise InvalidNumber("not-in-plan")  # a prefix too many, in a country whose numbers may begin like it
    if reason := _fault(number):
        raise InvalidNumber(reason)
    return E164(key)


def _fault(number: PhoneNumber) -> str:
    """Say why `number` cannot be one of its country, as a reason; empty when it can.

    Whether the number is in service is not asked: new area codes must not be refused because metadata is old.
    """
    if reason := _LENGTHS.get(phonenumbers.is_possible_number_with_reason(number)):
        return reason
    national = phonenumbers.national_significant_number(number)
    length = len(str(number.country_code)) + len(national)
    if not 7 <= length <= 15:  # ITU-T E.164 ends at 15; nothing under 7 is a subscriber's
        return "too-short" if length < 7 else "too-long"
    if number.country_code == 39 and national.startswith(("00", "03")) and not phonenumbers.is_valid_number(number):
        return "not-in-plan"  # +39 (0)333…: a mobile with a zero too many; only Italian landlines keep theirs
    in_plan = any(plan.fullmatch(national) for plan in _plans(number.country_code))
    return "" if in_plan else "not-in-plan"


@cache
def _plans(country_code: int) -> list[re.Pattern[str]]:
    """Give the shapes of national numbers with this country code.

    Without them a number would be accepted with a prefix too many in front, as a second key. A zero that remains
    where zero is the trunk prefix is such a one, or the start of a carrier's code (Japan, Korea). For +1 the shape is
    the plan's own: area code and exchange begin with 2 to 9, and no area code ends in 11.
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
    """Give the emergency number of `region` that was dialled, `911`, exactly, with or without the PBX prefix.

    Without the prefix it must work too (Kari's law, 47 U.S.C. 623). Nothing but ASCII digits makes one.
    """
    if len(dialed) > LONGEST_EMERGENCY_NUMBER + len(prefix) or not (dialed.isascii() and dialed.isdigit()):
        return None
    readings = (dialed, dialed.removeprefix(prefix))
    return next((digits for digits in readings if phonenumbers.is_emergency_number(digits, region)), None)


def lead_id(text: str) -> LeadId | None:
    """Read a lead id; None unless the whole text is one."""
    return LeadId(text) if LEAD_ID.fullmatch(text) else None


def mask(number: str) -> str:
    """Give `+1415*****00` for a log: at most 16 characters, of which only `+`, digits, `*` and `?` are used."""
    shown = _UNSHOWN.sub("?", number[:16])
    if len(shown) < 8:
        return "*" * len(shown)
    head = shown[: min(5, len(shown) - 5)]
    return head + "*" * (len(shown) - len(head) - 2) + shown[-2:]


def known_region(region: str) -> bool:
    """Tell whether `region` is a country whose numbers can be read: two capital letters, `US`."""
    return region in phonenumbers.SUPPORTED_REGIONS
