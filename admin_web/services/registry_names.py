"""Names of registries, and the countries whose numbers they list."""

import re

from sqlalchemy import select

from admin_web.record.database import Database
from admin_web.record.models import Registry
from compliance.numbers import known_region
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST_NAME = 32
RESERVED = (INTERNAL, "leads", "override", "build", "terms", "campaign-list")

LIST_NAMES = 0x646E635F6C697374
"""The key of PostgreSQL's advisory lock of list names ("dnc_list" in ASCII). Who names a new list holds it."""

KNOWN = (("us-", "US"), ("ca-", "CA"), ("uk-", "GB"))
"""Prefixes of names, and the country that each implies: us-ftc, us-tx, ca-dncl, uk-tps, uk-ctps."""


class NoCountry(Refused):
    """No country was given, and the name of the registry does not imply one."""


def checked_name(name: str, what: str = "a registry", example: str = "us-ftc") -> str:
    """Return the name. Raises Refused if `what` cannot have it."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or name in RESERVED:
        raise Refused(
            f"{name!r} cannot be the name of {what}: write lower-case letters, digits and dashes, such as {example}."
        )
    return name


def country_of(name: str, wanted: str | None = None) -> str:
    """Return the country of a new registry, as a code of ISO 3166. Raises NoCountry."""
    country = wanted or next((country for prefix, country in KNOWN if name.startswith(prefix)), "")
    if not known_region(country):
        raise NoCountry(f"Give the country whose numbers {name} lists, as a code of two letters such as US.")
    return country


async def country_for(database: Database, name: str, wanted: str | None = None) -> str:
    """Return the country of a recorded or a new registry. Raises NoCountry."""
    async with database.read() as session:
        known = await session.scalar(select(Registry.country).where(Registry.name == name))
    return known or country_of(name, wanted)
