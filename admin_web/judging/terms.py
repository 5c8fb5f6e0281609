"""The terms of registries, the patterns and the campaign lists, according to the system of record."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.models import CampaignListRow, Registry, RegistryVersion, SuppressionPattern
from compliance.area_codes import prefixes_of
from compliance.redis_schema import INTERNAL
from compliance.redis_terms import read_terms, terms_value
from compliance.terms import PASS, WARN, AllTerms, CampaignList, RegistryTerms, Terms

NEVER_STALE = datetime(9999, 1, 1, tzinfo=UTC)


async def terms_on_record(session: AsyncSession, versions: Mapping[str, int] | None = None) -> AllTerms:
    """Return the terms of each registry, sorted by name, the patterns and the campaign lists.

    `versions` are the versions that the projection holds; None means those in force in SQL. Coverage is that of the
    version held, because a newer version in SQL affects no call until it is in Redis.
    """
    registries = list(await session.scalars(select(Registry).order_by(Registry.name)))
    held = _in_force(registries) if versions is None else versions
    found = select(RegistryVersion).where(RegistryVersion.id.in_(held.values()))
    whole = {version.id: version for version in await session.scalars(found)} if held else {}
    return AllTerms(
        tuple(terms_of(one, whole.get(held.get(one.name, 0))) for one in registries),
        tuple(await session.scalars(select(SuppressionPattern.prefix).where(SuppressionPattern.lifted_at.is_(None)))),
        tuple([CampaignList(row.name, tuple(row.campaigns)) for row in await session.scalars(select(CampaignListRow))]),
    )


async def compiled_terms(session: AsyncSession) -> Terms:
    """Return the terms in SQL, with the registries' versions in force, compiled for lookups."""
    terms = await terms_on_record(session)
    own = sorted(one.name for one in terms.campaign_lists)
    lists = (INTERNAL, *own, *(one.name for one in terms.registries if one.covered))
    return compiled(lists, terms_value(*terms))


@lru_cache(maxsize=8)
def compiled(lists: tuple[str, ...], document: bytes) -> Terms:
    """Parse and compile a document of terms. Results for recent documents are cached. Raises ValueError."""
    return Terms(lists, *read_terms(document))


def terms_of(registry: Registry, version: RegistryVersion | None) -> RegistryTerms:
    """Return the terms of a registry. `version` is the version that is held, or None."""
    prefixes = prefixes_of(registry.country, registry.area_codes)
    return RegistryTerms(
        registry.name,
        prefixes,
        _covered(registry, version, prefixes) if version else {},
        registry.when_stale != WARN,
        registry.when_uncovered != PASS,
        tuple(registry.spared),
    )


def stale_at(registry: Registry, obtained_at: datetime) -> datetime:
    """Return the moment (aware UTC) from which a copy obtained at `obtained_at` is stale."""
    return obtained_at + timedelta(days=registry.fresh_days) if registry.fresh_days else NEVER_STALE


def _in_force(registries: list[Registry]) -> dict[str, int]:
    return {one.name: one.version_in_force_id for one in registries if one.version_in_force_id is not None}


def _covered(registry: Registry, version: RegistryVersion, prefixes: frozenset[str]) -> dict[str, datetime]:
    """Return the prefixes that a version covers, each with the moment at which its numbers become stale.

    Area codes that occur in the version's rows are always covered, even if the registry should not cover them. A
    state's list contains numbers of other states, because people keep their numbers when they move.
    """
    whole = stale_at(registry, version.obtained_at)
    covered = {} if registry.by_area_code and version.area_codes else dict.fromkeys(prefixes, whole)
    for area in version.area_codes:
        since = version.obtained.get(area)
        until = stale_at(registry, datetime.fromisoformat(since)) if since else whole
        covered |= dict.fromkeys(prefixes_of(registry.country, [area]), until)
    return covered
