"""The registries for their pages: freshness, gaps in their coverage, versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.terms import NEVER_STALE, terms_of
from admin_web.record.database import Database
from admin_web.record.models import Registry, RegistryVersion
from compliance import dates
from compliance.known_registries import preset_of
from compliance.terms import BLOCK
from compliance.wording import counted

WARNED_BEFORE = timedelta(days=7)
"""How long before a copy becomes stale every page warns about it."""

MOST_VERSIONS = 50
MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class RegistryStanding:
    """A registry and its version in force, at `at` (aware UTC).

    `stale_from` is when the first part of the version becomes stale; None without a version, or if no part ever does.
    `uncovered` are the area codes that it should cover but does not; without a version, all of them.
    """

    registry: Registry
    version: RegistryVersion | None
    stale_from: datetime | None
    uncovered: tuple[str, ...]
    at: datetime

    @property
    def name(self) -> str:
        """Name of the list."""
        return self.registry.name

    @property
    def title(self) -> str:
        """Full name of the registry."""
        return preset_of(self.name).title

    @property
    def days_left(self) -> int | None:
        """Whole days until it becomes stale, negative afterwards; None when it never does."""
        return (self.stale_from - self.at) // timedelta(days=1) if self.stale_from else None

    @property
    def stale(self) -> bool:
        """Whether any part of it is stale."""
        return self.stale_from is not None and self.stale_from <= self.at

    @property
    def ending(self) -> bool:
        """Whether it is still fresh but becomes stale soon."""
        return self.stale_from is not None and self.at < self.stale_from <= self.at + WARNED_BEFORE

    @property
    def tone(self) -> str:
        """Tone of the badge about its freshness: `good`, `warn` or `bad`."""
        if self.stale or self.version is None:
            return "bad"
        return "warn" if self.ending else "good"

    @property
    def freshness(self) -> str:
        """How fresh it is, in a few words."""
        if self.version is None:
            return "no version in force"
        if self.days_left is None:
            return "never stale"
        if self.stale:
            return f"stale for {_days(-self.days_left - 1)}"
        return f"{_days(self.days_left)} left of {self.registry.fresh_days}"

    @property
    def warning(self) -> str:
        """Which parts are stale or soon will be, and what that means for calls; empty when all parts are fresh."""
        blocks = self.registry.when_stale == BLOCK
        if self.stale:
            follows = "calls to the area codes that it covers are blocked" if blocks else "calls pass all the same"
            return f"{self.name} is {self.freshness}: {follows}. Import a new copy."
        if self.ending and self.stale_from:
            follows = "calls to the area codes that it covers are then blocked" if blocks else "calls pass all the same"
            return (
                f"{self.name} becomes stale on {dates.utc(self.stale_from)}: {follows}. Import a new copy before that."
            )
        return ""

    @property
    def gap(self) -> str:
        """The area codes that are missing, and what that means for calls; empty when none is missing."""
        if not self.uncovered:
            return ""
        follows = "are blocked" if self.registry.when_uncovered == BLOCK else "pass, and their decisions say why"
        if self.version is None:
            return f"{self.name} was never imported: calls to the numbers that it should cover {follows}."
        named = ", ".join(self.uncovered[:MOST_NAMED]) + (" …" if len(self.uncovered) > MOST_NAMED else "")
        lacking = counted(len(self.uncovered), "area code")
        return f"{self.name} does not cover {lacking} ({named}): calls there {follows}."


def _days(days: int) -> str:
    return counted(days, "day")


async def standings(session: AsyncSession, at: datetime) -> list[RegistryStanding]:
    """Return every registry, by name, with its standing at `at` (aware UTC)."""
    query = select(Registry, RegistryVersion).outerjoin(
        RegistryVersion, RegistryVersion.id == Registry.version_in_force_id
    )
    rows = await session.execute(query.order_by(Registry.name))
    return [_standing(registry, version, at) for registry, version in rows]


async def all_standings(database: Database, at: datetime) -> list[RegistryStanding]:
    """Return every registry, by name. Raises DatabaseUnavailable."""
    async with database.read() as session:
        return await standings(session, at)


async def standing_of(
    database: Database, name: str, at: datetime
) -> tuple[RegistryStanding, Sequence[RegistryVersion]] | None:
    """Return one registry with its versions, newest first; None when it does not exist. Raises DatabaseUnavailable."""
    versions = select(RegistryVersion).where(RegistryVersion.registry_name == name)
    async with database.read() as session:
        found = await _named(session, name, at)
        latest = versions.order_by(RegistryVersion.id.desc()).limit(MOST_VERSIONS)
        return (found, list(await session.scalars(latest))) if found else None


async def one_standing(database: Database, name: str, at: datetime) -> RegistryStanding | None:
    """Return one registry; None when it does not exist. Raises DatabaseUnavailable."""
    async with database.read() as session:
        return await _named(session, name, at)


async def _named(session: AsyncSession, name: str, at: datetime) -> RegistryStanding | None:
    return next((one for one in await standings(session, at) if one.name == name), None)


def _standing(registry: Registry, version: RegistryVersion | None, at: datetime) -> RegistryStanding:
    terms = terms_of(registry, version)
    stale_from = min(terms.covered.values(), default=NEVER_STALE)
    uncovered = sorted(prefix for prefix in terms.prefixes if prefix not in terms.covered)
    shown = tuple(prefix[1:] if len(prefix) == 4 and prefix[0] == "1" else f"+{prefix}" for prefix in uncovered)
    return RegistryStanding(registry, version, None if stale_from == NEVER_STALE else stale_from, shown, at)
