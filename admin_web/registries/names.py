"""What registries are called, and which country's numbers they list."""

import re

from sqlalchemy import select

from admin_web.database import Database
from admin_web.services.presets import preset_of
from admin_web.services.records import Change
from admin_web.services.refusal import Refused
from compliance.models import Registry, SuppressionEntry
from compliance.numbers import known_region
from compliance.redis_schema import INTERNAL

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST_NAME = 32
RESERVED = (INTERNAL, "leads", "override", "build", "terms")
KNOWN = (("us-", "US"), ("ca-", "CA"), ("uk-", "GB"))
"""What a name begins with, and the country that follows: us-ftc, us-tx, ca-dncl, uk-tps, uk-ctps."""


def checked_name(name: str) -> str:
    """Give the name back. Raises Refused for what cannot be a registry's."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or name in RESERVED:
        raise Refused(f"{name!r} can be no registry's name: write small letters, digits and dashes, such as us-ftc.")
    return name


def country_of(name: str, wanted: str | None = None) -> str:
    """Give the country of a registry that is not on record yet, as in ISO 3166. Raises Refused."""
    country = wanted or next((country for start, country in KNOWN if name.startswith(start)), "")
    if not known_region(country):
        raise Refused(f"Say with --country which country's numbers {name} lists: US, say.")
    return country


async def country_for(database: Database, name: str, wanted: str | None = None) -> str:
    """Give the country of a registry, on record or new. Raises Refused."""
    async with database.read() as session:
        known = await session.scalar(select(Registry.country).where(Registry.name == name))
    return known or country_of(name, wanted)


async def on_record(change: Change, name: str, country: str | None, account: str | None) -> Registry:
    """Give a registry's row, put on record now if need be; `account` is whose copy it is. Raises Refused."""
    registry = await change.session.scalar(select(Registry).where(Registry.name == name).with_for_update())
    if registry is None:
        await _require_free(change, name)
        known = preset_of(name)
        registry = Registry(
            name=name,
            country=country_of(name, country),
            area_codes=[],
            by_area_code=known.by_area_code,
            fresh_days=known.fresh_days,
            created_at=change.at,
            created_by=change.actor.name,
        )
        change.session.add(registry)
        change.audit("add-registry", "registry", name, country=registry.country)
        change.project_terms(name)
    elif country is not None and country != registry.country:
        raise Refused(f"{name} lists numbers of {registry.country}, not of {country}.")
    if account is not None:
        registry.owner_account = account
    await change.session.flush()
    return registry


async def _require_free(change: Change, name: str) -> None:
    used = select(SuppressionEntry.id).where(SuppressionEntry.list_name == name).limit(1)
    if await change.session.scalar(used) is not None:
        raise Refused(f"{name} is a list of the company's own; choose another name for the registry.")
