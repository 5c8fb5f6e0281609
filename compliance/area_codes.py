"""Which digits numbers of a country begin with: what a registry of that country should cover."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache

import phonenumbers

NANP = 1

_TERRITORIES = {"PR": "US", "GU": "US", "VI": "US", "AS": "US", "MP": "US"}
"""Their numbers stand in the registries of the United States, as 47 U.S.C. 153(58) has it."""

_SHARED = ("US", "CA")
"""The countries that an area code may be of which the library does not know yet."""

_SAMPLE_LINE = "2345678"


def prefixes_of(country: str, area_codes: Iterable[str] = ()) -> frozenset[str]:
    """Give the digits behind `+` that the numbers of a country (ISO 3166, `US`) begin with.

    With area codes: of the numbers in those. Countries of +1 share their country code, so theirs are spelled with the
    area code; a new one, of which the library does not know yet, is taken for one of the United States and of Canada.
    """
    code = str(phonenumbers.country_code_for_region(country))
    chosen = frozenset(f"{code}{area}" for area in area_codes)
    if chosen or code != str(NANP):
        return chosen or frozenset({code})
    return _of_the_plan()[country]


@cache
def _of_the_plan() -> Mapping[str, frozenset[str]]:
    """Give the prefixes of each country of the North American plan."""
    prefixes: dict[str, list[str]] = defaultdict(list)
    for area in range(200, 1000):
        number = phonenumbers.parse(f"+{NANP}{area}{_SAMPLE_LINE}")
        region = phonenumbers.region_code_for_number(number)
        for country in [_TERRITORIES.get(region, region)] if region else _SHARED:
            prefixes[country].append(f"{NANP}{area}")
    return {country: frozenset(some) for country, some in prefixes.items()}
