"""Headings of columns that contain telephone numbers, in the languages of the lists that we have seen."""

import re
from unicodedata import combining, normalize

STEMS = (
    "phone", "telefon", "telefoon", "telephon", "telemovel", "mobil", "movil", "mobiel", "celular", "cellul", "handy",
    "rufnummer", "festnetz", "landline", "msisdn", "fax", "puhelin", "komork", "телефон", "мобил", "факс", "τηλεφων",
    "κινητ", "电话", "電話", "手机", "手機", "携帯", "전화", "휴대", "هاتف", "جوال", "טלפון", "נייד", "फोन", "โทร",
)  # fmt: skip
"""Parts of words."""

WORDS = frozenset({
    "tel", "tels", "tlf", "tfn", "ph", "mob", "cell", "gsm", "e164", "portable",
    "home", "work", "office", "business", "private",
})  # fmt: skip
"""Whole words. Some of them also head other columns, so the cells must contain numbers too."""


def is_telephone_heading(heading: str) -> bool:
    """Return whether a heading may be that of telephone numbers. Accents and case do not matter."""
    folded = _folded(heading)
    return any(stem in folded for stem in _STEMS) or not WORDS.isdisjoint(re.split(r"[\W_]+", folded))


def _folded(text: str) -> str:
    return "".join(letter for letter in normalize("NFKD", text.casefold()) if not combining(letter))


_STEMS = tuple(map(_folded, STEMS))
