"""The registries that are known by name, with the terms that their authorities set."""

import re
from typing import NamedTuple

DAYS = 31
"""How old a copy may be: 16 CFR 310.4(b)(3)(iv) in the United States, and so by the CRTC's rules in Canada."""

UK_DAYS = 28
"""Regulation 21(3) of the Privacy and Electronic Communications Regulations 2003."""


class Preset(NamedTuple):
    """What is known of a registry: country (ISO 3166), title, days of freshness, and whether area codes make it up."""

    country: str
    title: str
    fresh_days: int
    by_area_code: bool


PRESETS = {
    "us-ftc": Preset("US", "National Do Not Call Registry of the United States (FTC)", DAYS, True),
    "ca-dncl": Preset("CA", "National Do Not Call List of Canada (CRTC)", DAYS, True),
    "uk-tps": Preset("GB", "Telephone Preference Service of the United Kingdom", UK_DAYS, False),
    "uk-ctps": Preset("GB", "Corporate Telephone Preference Service of the United Kingdom", UK_DAYS, False),
}

_STATE = re.compile(r"us-[a-z]{2}")


def preset_of(name: str) -> Preset:
    """Give what is known of a registry; of a custom one, that it is a whole list. Its country may be unknown, empty."""
    if known := PRESETS.get(name):
        return known
    if _STATE.fullmatch(name):
        return Preset("US", f"Do-Not-Call list of the state {name[3:].upper()}", DAYS, False)
    return Preset("", "Custom list", DAYS, False)
