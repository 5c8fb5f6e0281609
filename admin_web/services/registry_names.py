"""Names of registries, and the countries whose numbers they list."""

import re

from sqlalchemy import select

from admin_web.record.database import Database
from admin_web.record.models import Registry
from compliance.known_registries import PRESETS, preset_of
from compliance.numbers import known_region
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST_NAME = 32
RESERVED = (INTERNAL, "leads", "override", "build", "terms", "campaign-list")

LIST_NAMES = 0x646E635F6C697374
"""The key of PostgreSQL's advisory lock of list names ("dnc_list" in ASCII). Who names a new list holds it."""


class NoCountry(Refused):
    """No country was given, and the name is not that of a known registry."""


def checked_name(name: str, what: str = "a registry", example: str = "us-ftc") -> str:
    """Return the name. Raises Refused if `what` cannot have it."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or name in RESERVED:
        raise Refused(
            f"{name!r} cannot be the name of {what}: write lower-case letters, digits and dashes, such as {example}."
        )
    return name


def country_of(name: str, wanted: str | None = None) -> str:
    """Return the country of a new registry, as a code of ISO 3166. Raises NoCountry.

    A mistyped name must not become a new registry, because the one that was meant would then go stale without a word.
    """
    country = wanted or preset_of(name).country
    if not known_region(country):
        raise NoCountry(
            f"{name} is no known registry, such as {', '.join(PRESETS)}, or us-tx for a state. If it is a list of your "
            "own, give the country whose numbers it lists, as a code of two letters such as US."
        )
    return country


async def country_for(database: Database, name: str, wanted: str | None = None) -> str:
    """Return the country of a recorded or a new registry. Raises NoCountry."""
    async with database.read() as session:
        known = await session.scalar(select(Registry.country).where(Registry.name == name))
    return known or country_of(name, wanted)
