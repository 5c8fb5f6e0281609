"""Recognise emergency numbers."""

import phonenumbers

# Nearly every call is to a number longer than this. Comparing the length takes 0.06 µs, and the library's check for
# emergency numbers 7 to 8 µs:
# python -m timeit -s "from compliance.numbers import emergency_number as e" "e('4155550100', 'US')"
LONGEST_EMERGENCY_NUMBER = 6


def emergency_number(dialed: str, region: str, prefix: str = "") -> str | None:
    """Return the emergency number of `region` that was dialled, such as `911`; None for any other digits.

    The digits must match exactly, with the PBX prefix or without it (Kari's law, 47 U.S.C. 623).
    """
    if len(dialed) > LONGEST_EMERGENCY_NUMBER + len(prefix) or not (dialed.isascii() and dialed.isdigit()):
        return None
    readings = (dialed, dialed.removeprefix(prefix))
    return next((digits for digits in readings if phonenumbers.is_emergency_number(digits, region)), None)
