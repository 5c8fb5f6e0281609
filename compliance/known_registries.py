"""The registries that have built-in defaults, with the terms that their authorities set."""

from typing import NamedTuple

DAYS = 31
"""Days for which a copy may be used, under 16 CFR 310.4(b)(3)(iv) (United States) or the rules of the CRTC (Canada)."""

UK_DAYS = 28
"""Days for which a copy may be used, under regulation 21(3) of the Privacy and Electronic Communications Regulations
2003.
"""


class Preset(NamedTuple):
    """The defaults of a registry: country (ISO 3166), title, days that a copy stays fresh, and whether it is sold by
    area code.
    """

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

_STATES = (
    "al ak az ar ca co ct dc de fl ga hi ia id il in ks ky la ma md me mi mn mo ms mt nc nd ne nh nj nm nv ny oh ok or "
    "pa pr ri sc sd tn tx ut va vt wa wi wv wy"
)
"""The states of the United States that may have a list, with the District of Columbia and Puerto Rico."""


def preset_of(name: str) -> Preset:
    """Return the defaults of a registry. A custom registry has an empty country and is not sold by area code."""
    if known := PRESETS.get(name):
        return known
    prefix, _, state = name.partition("-")
    if prefix == "us" and state in _STATES.split():
        return Preset("US", f"Do-Not-Call list of the state {state.upper()}", DAYS, False)
    return Preset("", "Custom list", DAYS, False)
