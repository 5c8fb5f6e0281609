"""Telephone numbers in JSON, where a client may write digits as a number instead of a text."""

from compliance.numbers import InvalidNumber

LARGEST = 10**15 - 1
"""No telephone number has more than 15 digits (E.164), and a JSON number of 15 digits is exact as a float."""


def as_text(value: object) -> object:
    """Return the digits of a whole JSON number, and any other value unchanged."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not 0 < value <= LARGEST or value != int(value):
        return value
    return str(int(value))


def dialed_in(value: object) -> str:
    """Return the text of a number from JSON. Raises InvalidNumber if the value is neither a text nor a whole number."""
    text = as_text(value)
    if isinstance(text, str):
        return text
    raise InvalidNumber("empty" if text is None else "malformed")
