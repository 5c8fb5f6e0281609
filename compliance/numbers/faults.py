"""Patterns for what is wrong with a text that is not one telephone number, each with the reason of the refusal."""

import re
from collections.abc import Iterable

Fault = tuple[str, re.Pattern[str]]

_DAY, _MONTH, _YEAR = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_NEXT, _SAME = r" *([-./]) *", r" *\1 *"
_TIME = r"\.?(?:[T ,][0-9 :.+-]*Z?)?"
_SERIAL = r"(?: *\1 *[0-9]{1,4})?"
_DATES = (
    ("date", re.compile(rf"\A *{_YEAR}{_NEXT}{_MONTH}{_SAME}{_DAY}{_SERIAL}{_TIME}\Z", re.IGNORECASE)),
    ("date", re.compile(rf"\A *{_DAY}{_NEXT}{_MONTH}{_SAME}{_YEAR}{_TIME}\Z", re.IGNORECASE)),
    ("date", re.compile(rf"\A *{_MONTH}{_NEXT}{_DAY}{_SAME}{_YEAR}{_TIME}\Z", re.IGNORECASE)),
)
# In Germany, Austria, the Netherlands and Poland the digits after these words are often dialled as part of the number.
_DIALLED_THROUGH = r"dw|durchwahl|nst|nebenstelle|app|apparat|kl|klappe|tst|toestel|wew"

# The order matters, because the first pattern that is found names the reason.
IN_ANY_TEXT: tuple[Fault, ...] = (
    ("control-character", re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")),
    ("not-ascii-digits", re.compile(r"(?![0-9])[\d\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]")),
    *_DATES,
    # A column that is too narrow, and a formula that failed: #NAME?, #N/A
    ("spreadsheet-number", re.compile(r"\A#+\Z|\A#[A-Z]+(?:/[0A])?[!?]?\Z", re.IGNORECASE)),
    # Scientific notation: 1.4155E+10
    ("spreadsheet-number", re.compile(r"[0-9](?:[.,][0-9]*)? ?E ?[+-]?[0-9]{1,3}\Z", re.IGNORECASE)),
    # Thousands: 14,155,550,183 and 14'155'550'183
    (
        "spreadsheet-number",
        re.compile(r"\A[+-]?[0-9]{1,3}([,'\u2019])[0-9]{3}(?:\1[0-9]{3})+(?:\.[0-9]*)?\Z"),
    ),
    # A decimal comma
    ("spreadsheet-number", re.compile(r"[0-9],0+\Z")),
    ("star-code", re.compile(r"[*#]")),
    ("two-numbers", re.compile(r"[/&\u2026]|\b(?:or|and)\b|[,;](?:[^0-9]*[0-9]){7}", re.IGNORECASE)),
    ("post-dial", re.compile(r"[0-9)] *[pw,;][0-9pw,; ]*\Z", re.IGNORECASE)),
    ("extension", re.compile(rf"[0-9)][ ,-]*\(? *(?:{_DIALLED_THROUGH})[ .:-]*[0-9]{{1,8}}[ )]*\Z", re.IGNORECASE)),
    ("letters", re.compile(r"[^\W\d_]")),
    ("misplaced-plus", re.compile(r"\+")),
    ("unexpected-character", re.compile(r"")),
)
"""Faults of a text that holds more than the digits and separators of a number. The last pattern matches any text."""

OF_DIGITS: tuple[Fault, ...] = (
    *_DATES,
    # People do not group digits like this: one dot with one or two digits after it, or with six or more before it.
    ("spreadsheet-number", re.compile(r"\A[^.]*[0-9] *(?:\.[0-9]{1,2}|(?<=[0-9]{6})\.[0-9]+)[ )]*\Z")),
    # A range: 123450..59
    ("two-numbers", re.compile(r"\. *\.")),
    # Brackets after six or more digits
    ("note", re.compile(r"\A(?:[^0-9]*[0-9]){6,}[^0-9(]*\([0-9 .-]*\)[ .-]*\Z")),
)
"""Faults of a text that holds nothing but digits and separators."""


def first_fault(text: str, faults: Iterable[Fault]) -> str:
    """Return the reason of the first fault that is found; empty if there is none."""
    return next((reason for reason, pattern in faults if pattern.search(text)), "")
