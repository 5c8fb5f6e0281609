"""Numbers that reach the same telephone: which of them is its key, and which digits are not a telephone's number.

A pattern matches a whole number, and is looked up by the country code of that number.
"""

import re

from compliance.numbers.refusal import InvalidNumber

FRENCH_OVERSEAS = frozenset({"BL", "GF", "GP", "MF", "MQ", "PM", "RE", "YT"})
"""Regions with country codes of their own, where France's numbers are dialled as in France."""

# Landlines, mobile numbers and numbers of internet providers, as the Autorité de régulation (ARCEP) assigns them.
# Within France and these regions people dial 0 and then these digits. France's own country code reaches none of these
# numbers.
_FRENCH = {
    "262": "26[2389]|639|69[23]|7092|7093[5-7]|9(?:39|47)[89]",
    "590": "590|5987|69[01]|7090|9(?:39|47)5",
    "594": "594|5988|694|7093[0-3]|9476",
    "596": "596|5989|69[67]|7091|9477",
}
_FRENCH_CODES = (33, 262, 590, 594, 596)
_OF_FRANCE = (
    *((re.compile(rf"\+(?:33|262|59[046])(?=\d{{9}}\Z)({digits})"), rf"+{code}\1") for code, digits in _FRENCH.items()),
    # Saint Pierre and Miquelon: landlines have six digits after 508, mobile numbers begin with 708.
    (re.compile(r"\+(?:33|262|59[046])(?:508(?=\d{6}\Z)|(?=708\d{6}\Z))"), "+508"),
)

# Vietnam: in 2018 mobile numbers of ten digits got nine. The table maps the old first digits to the new ones.
_VIETNAM = {
    **dict(zip(("120", "121", "122", "126", "128"), ("70", "79", "77", "76", "78"), strict=True)),
    **dict(zip(("123", "124", "125", "127", "129"), ("83", "84", "85", "81", "82"), strict=True)),
    **{f"16{digit}": f"3{digit}" for digit in "23456789"},
    **dict(zip(("186", "188", "199"), ("56", "58", "59"), strict=True)),
}

_ALIASES = {
    # Mexico: until 2019 callers dialled a 1 after the country code, or a national prefix, before mobile numbers.
    52: ((re.compile(r"\+52(?:1|01|04[45])(\d{10})\Z"), r"+52\1"),),
    # Argentina: callers from abroad dial a 9 before mobile numbers. The ten digits after the 9 identify the telephone.
    54: ((re.compile(r"\+549(\d{10})\Z"), r"+54\1"),),
    # Brazil: until 2016 mobile numbers had eight digits. Each of them got a 9 in front.
    55: ((re.compile(r"\+55([1-9]{2})([689]\d{7})\Z"), r"+55\g<1>9\2"),),
    84: tuple((re.compile(rf"\+84{old}(\d{{7}})\Z"), rf"+84{new}\1") for old, new in _VIETNAM.items()),
    # San Marino: landlines can also be dialled through Italy's area code 0549.
    39: ((re.compile(r"\+39(0549\d{6})\Z"), r"+378\1"),),
    # Northern Ireland: callers in the Republic of Ireland can dial it as area code 048.
    353: ((re.compile(r"\+35348(\d{8})\Z"), r"+4428\1"),),
    # Palestine: numbers can also be dialled through +972. These are the ranges of +970 in the library's metadata.
    972: ((re.compile(r"\+972((?:22[2-47-9]|42[45]|82[014-68]|92[3569])\d{5}|5[69]\d{7})\Z"), r"+970\1"),),
    **dict.fromkeys(_FRENCH_CODES, _OF_FRANCE),
}

# The number of a mailbox is the number of its telephone with additional digits. A call to it reaches the same person.
_REFUSED = {
    # Germany: 13, 33, 50, 55 or 99 after the mobile prefix; mobile numbers have 11 digits at most. No number begins
    # with 10: 010xx and 0100xx select a carrier for one call.
    49: ((re.compile(r"\+491[567]\d{10,}"), "mailbox"), (re.compile(r"\+4910"), "carrier-code")),
    # Austria: 77 after 664 and 680, and other digits after other prefixes. 10xx selects a carrier for one call.
    43: (
        (re.compile(r"\+436(?:(?:64|80)77|7622|5011|6033|7760)\d{7,}|\+436993\d{7,}"), "mailbox"),
        (re.compile(r"\+4310"), "carrier-code"),
    ),
    41: ((re.compile(r"\+4186\d{10}"), "mailbox"),),  # Switzerland: 086 before the whole number
    39: ((re.compile(r"\+393\d{10,}"), "mailbox"),),  # Italy: mobile numbers have ten digits at most
    46: ((re.compile(r"\+46(?:25[245]|67[3-68])\d{9}"), "mailbox"),),  # Sweden
    353: ((re.compile(r"\+3538\d{9}"), "mailbox"),),  # Ireland: 5 after the mobile prefix, ten digits instead of nine
    420: ((re.compile(r"\+4209[36]\d{8,}"), "mailbox"),),  # Czechia: 93 or 96 before the number
    972: ((re.compile(r"\+972151\d{8,9}"), "mailbox"),),  # Israel: 1 51 before the number
    # Brazil: eight digits that begin with 7 belonged to a network that was shut down.
    55: ((re.compile(r"\+55[1-9]{2}7\d{7}"), "old-form"),),
    # France: only the digits after these show which of France's regions a number belongs to.
    33: ((re.compile(r"\+33(?:976\d{6}|939[67]\d{5}|598[0-6]\d{5})"), "local-form"),),
}


def canonical(key: str, country_code: int) -> str:
    """Return the key of the telephone that `key` reaches. Raises InvalidNumber if it is not a telephone's number."""
    for pattern, reason in _REFUSED.get(country_code, ()):
        if pattern.match(key):
            raise InvalidNumber(reason)
    for pattern, replacement in _ALIASES.get(country_code, ()):
        key = pattern.sub(replacement, key)
    return key
