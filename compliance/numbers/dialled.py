"""Return the number that dialled digits mean."""

import re

from compliance.numbers.emergency import emergency_number
from compliance.numbers.kinds import E164
from compliance.numbers.plan import NANP, NANP_REGIONS, key_of
from compliance.numbers.refusal import InvalidNumber
from compliance.numbers.writing import digits_of

_COMMON = re.compile(rf"(?:\+?1)?{NANP}")
# Digits with one of these faults stand for a telephone or a service, although they are not its number. So the prefix
# before them was really the prefix, and not the beginning of a number.
_STILL_A_NUMBER = frozenset({"ambiguous", "carrier-code", "mailbox", "old-form"})


def normalize(dialed: str, region: str, prefix: str = "") -> E164:
    """Return the E.164 number that `dialed` means in `region` (ISO 3166, such as `US`). Raises InvalidNumber.

    `prefix` is the digits that the PBX puts before outside numbers. It is removed once, from digits without `+`. If
    the rest is not a number, but the digits with the prefix are one, the prefix is not removed.
    """
    # This short cut takes less than 1 µs. The library takes 16 to 47 µs to parse, validate and format the number. A
    # hypothesis test checks that both return the same number.
    # python -m timeit -s "from compliance.numbers import normalize" "normalize('4155550100', 'US')"
    if prefix and region in NANP_REGIONS and dialed.startswith(prefix):
        rest = dialed.removeprefix(prefix)
        if _COMMON.fullmatch(rest) and rest[0] != "+":
            return E164(f"+1{rest[-10:]}")
    if _COMMON.fullmatch(dialed):
        if dialed[0] == "+":
            return E164(dialed)
        if region in NANP_REGIONS:
            return E164(f"+1{dialed[-10:]}")
    return read(dialed, region, prefix)


def read(dialed: str, region: str, prefix: str) -> E164:
    """Return the same as `normalize`, but use the library for numbers of every form. Raises InvalidNumber."""
    digits = digits_of(dialed, region)
    if emergency_number(digits, region, prefix):
        raise InvalidNumber("emergency")
    if not (prefix and digits.startswith(prefix)):
        return key_of(digits, region)
    rest = digits.removeprefix(prefix)
    try:
        return key_of(rest, region)
    except InvalidNumber as refused:
        if refused.reason in _STILL_A_NUMBER:
            raise
        try:
            return key_of(digits, region)
        except InvalidNumber:
            raise refused from None


def common_form(region: str) -> str:
    """Return a pattern for numbers of +1 that need no parsing in `region`. Its group `national` is the part after +1.

    A scrub applies the pattern to whole columns of a list.
    """
    written = r"(?:\+?1)?" if region in NANP_REGIONS else r"\+1"
    return f"{written}(?P<national>{NANP})"
