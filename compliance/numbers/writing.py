"""Read the digits of a number from a text, as people, programs and spreadsheets write it."""

import re
import unicodedata

import phonenumbers

from compliance.numbers.address import without_address
from compliance.numbers.direction import TURNING
from compliance.numbers.faults import IN_ANY_TEXT, OF_DIGITS, first_fault
from compliance.numbers.refusal import LONGEST_INPUT, InvalidNumber

_DIGITS = re.compile(r"\+?[0-9]+")
_WRITTEN = re.compile(r"[ ().-]*\+?[0-9 ().-]*")
_SEPARATORS = str.maketrans("", "", " ().-")
# A spreadsheet marks a cell as text by an apostrophe in front, or by a formula: ="4155550100".
_FORMULA_OF_TEXT = re.compile(r'="([^"]*)"')
_QUOTES = "'\"`\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}\N{ACUTE ACCENT}"

# A company's exchange asks for these digits after it has answered, so they do not change which telephone rings.
_AFTER_ANSWER = r"x|ext|extn|extension|extensi\u00f3n|int|interno|anexo|ramal|poste|\u0434\u043e\u0431"
_EXTENSION = re.compile(
    rf"(?:[ ,-]*\(? *(?:{_AFTER_ANSWER})[ .:#-]*[0-9]{{1,8}}|(?<=[0-9)])[ ,]*\(? *# ?[0-9]{{1,6}}) *\)? *\Z",
    re.IGNORECASE,
)
_LAST_DIGITS = re.compile(r"([0-9]{2,}) +-+ +([0-9]{1,2}) *\Z")
# All numbers of an exchange: 123450-59, 12340-9
_WHOLE_TEN = re.compile(r"([0-9]?)0-+\1?9 *\Z")
_PAIRS = re.compile(r"(?:[0-9]{2} *-+ *){2,}[0-9]{2} *\Z")
_LONG_DASHES = "\N{EN DASH}\N{EM DASH}\N{HORIZONTAL BAR}"
_THREE_THREE_FOUR = re.compile(r" *\+ *\(?([2-9][0-9]{2})[ ).-]+[2-9][0-9]{2}[ .-]*[0-9]{4} *")


def digits_of(dialed: str, region: str) -> str:
    """Remove separators, address syntax and extension; return digits, after `+` if there was one.

    Raises InvalidNumber.
    """
    if len(dialed) > LONGEST_INPUT:
        raise InvalidNumber("input-too-long")
    if _DIGITS.fullmatch(dialed):
        return dialed
    text = dialed if dialed.isascii() else "".join(map(_plain, dialed))
    text = _EXTENSION.sub("", without_address(_without_marks(text.strip(" "))))
    faults = OF_DIGITS if _WRITTEN.fullmatch(text) else IN_ANY_TEXT
    if reason := first_fault(text, faults):
        raise InvalidNumber(reason)
    _require_one_number(text)
    _require_country_code(text, region)
    return text.translate(_SEPARATORS)


def _plain(char: str) -> str:
    """Return the ASCII form of a separator, nothing for a formatting character, and any other character unchanged.

    Raises InvalidNumber for a character that changes the order in which digits are shown.
    """
    if char in TURNING:
        raise InvalidNumber("direction-mark")
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    if category == "Zs":
        return " "
    if char in _LONG_DASHES:  # Between numbers it means "to", as a hyphen between spaces does.
        return " - "
    return "-" if category == "Pd" or char == "\N{MINUS SIGN}" else char


def _without_marks(text: str) -> str:
    """Return the text of a cell without the marks that make a spreadsheet treat it as text."""
    formula = _FORMULA_OF_TEXT.fullmatch(text)
    return (formula[1] if formula else text).strip(_QUOTES).strip(" ")


def _require_one_number(text: str) -> None:
    """Raise InvalidNumber if the text ends like a range of numbers, such as 123450 - 59.

    In a range, the digits after the dash are greater than those that they replace. So 12345 - 0 is a number with an
    extension. Digits in pairs, such as 01 - 42 - 68 - 53 - 60, are one number.
    """
    ends = _LAST_DIGITS.search(text)
    a_range = ends is not None and ends[2] > ends[1][-len(ends[2]) :]
    if (a_range or _WHOLE_TEN.search(text)) and not _PAIRS.search(text):
        raise InvalidNumber("two-numbers")


def _require_country_code(text: str, region: str) -> None:
    """Raise InvalidNumber if the text has the groups of a +1 number but lacks the 1, such as +473 440 1234 (Grenada).

    Without spaces, +4734401234 is a number of Norway. The groups are accepted if the first one is a
    country code of three digits, or begins with the region's own country code.
    """
    grouped = _THREE_THREE_FOUR.fullmatch(text)
    if grouped is None or int(grouped[1]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        return
    if not grouped[1].startswith(str(phonenumbers.country_code_for_region(region))):
        raise InvalidNumber("country-code-missing")
