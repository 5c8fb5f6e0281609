"""The prefixes of a country's numbers: what a registry of that country should cover."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache

import phonenumbers

NANP = 1

_TERRITORIES = {"PR": "US", "GU": "US", "VI": "US", "AS": "US", "MP": "US"}
"""Territories that 47 U.S.C. 153(58) counts as States, so the registries of the United States have their numbers."""

_SHARED = ("US", "CA")
"""Countries that get an area code of +1 if the library does not know the area code yet."""

_SAMPLE_LINE = "2345678"


def prefixes_of(country: str, area_codes: Iterable[str] = ()) -> frozenset[str]:
    """Return the digits after `+` with which the numbers of a country (ISO 3166, `US`) begin.

    If `area_codes` are passed, return only the prefixes of these area codes. The countries of +1 share their country
    code, so their prefixes include the area code. An area code that the library does not know yet counts for both the
    United States and Canada. The registries of both then apply to its numbers; otherwise no registry would apply.
    """
    code = str(phonenumbers.country_code_for_region(country))
    chosen = frozenset(f"{code}{area}" for area in area_codes)
    if chosen or code != str(NANP):
        return chosen or frozenset({code})
    return _of_the_plan()[country]


@cache
def _of_the_plan() -> Mapping[str, frozenset[str]]:
    """Return the prefixes of each country of the North American plan."""
    prefixes: dict[str, list[str]] = defaultdict(list)
    for area in range(200, 1000):
        number = phonenumbers.parse(f"+{NANP}{area}{_SAMPLE_LINE}")
        region = phonenumbers.region_code_for_number(number)
        for country in [_TERRITORIES.get(region, region)] if region else _SHARED:
            prefixes[country].append(f"{NANP}{area}")
    return {country: frozenset(some) for country, some in prefixes.items()}
