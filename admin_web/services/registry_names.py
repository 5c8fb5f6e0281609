"""What registries are called, and which country's numbers they list."""

import re

from sqlalchemy import select

from admin_web.record.database import Database
from admin_web.record.models import Registry
from compliance.numbers import known_region
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST_NAME = 32
RESERVED = (INTERNAL, "leads", "override", "build", "terms")
KNOWN = (("us-", "US"), ("ca-", "CA"), ("uk-", "GB"))
"""What a name begins with, and the country that follows: us-ftc, us-tx, ca-dncl, uk-tps, uk-ctps."""


class NoCountry(Refused):
    """The name of a registry does not say whose numbers it lists."""


def checked_name(name: str) -> str:
    """Give the name back. Raises Refused for what cannot be a registry's."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or name in RESERVED:
        raise Refused(f"{name!r} can be no registry's name: write small letters, digits and dashes, such as us-ftc.")
    return name


def country_of(name: str, wanted: str | None = None) -> str:
    """Give the country of a registry that is not on record yet, as in ISO 3166. Raises Refused."""
    country = wanted or next((country for start, country in KNOWN if name.startswith(start)), "")
    if not known_region(country):
        raise NoCountry(f"Say of which country's numbers {name} is a list: US, say.")
    return country


async def country_for(database: Database, name: str, wanted: str | None = None) -> str:
    """Give the country of a registry, on record or new. Raises Refused."""
    async with database.read() as session:
        known = await session.scalar(select(Registry.country).where(Registry.name == name))
    return known or country_of(name, wanted)
