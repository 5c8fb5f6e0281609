"""What SQL says about a few subjects at one moment, or about everything in one snapshot."""

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import TypeAlias, cast

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.dialect import each_of
from admin_web.record.models import Override, Registry, RegistryExchange, RegistryVersion, SuppressionEntry
from compliance.cluster import Shard, slot_of
from compliance.facts import LiveOverride
from compliance.numbers import E164, LeadId
from compliance.redis_schema import INTERNAL, LINE_DIGITS, slot_of_number

LeadOnNumber: TypeAlias = tuple[E164, LeadId]
"""One lead on one number. An override may allow calls to this pair."""

ROWS_AT_ONCE = 10_000
"""Maximum number of rows in memory at a time while everything is read."""

EXCHANGES_AT_ONCE = 1_000
"""Maximum number of exchanges of a registry in memory at a time. Each has at most 1,250 bytes."""


@dataclass(slots=True)
class Subjects:
    """The subjects of a query: numbers by list, and leads on numbers (`openings`).

    `listed` are further numbers by list, which were found listed in the transaction that asks.
    """

    numbers: dict[str, set[E164]] = field(default_factory=lambda: defaultdict(set))
    listed: dict[str, set[E164]] = field(default_factory=lambda: defaultdict(set))
    openings: set[LeadOnNumber] = field(default_factory=set)

    def add(self, list_name: str | None, lead: str | None, numbers: Iterable[str]) -> None:
        """Add numbers on a list, or the overrides of a lead on numbers, or both."""
        for number in numbers:
            if lead is not None:
                self.openings.add((E164(number), LeadId(lead)))
            if list_name is not None:
                self.numbers[list_name].add(E164(number))

    def add_listed(self, list_name: str, numbers: Iterable[str]) -> None:
        """Add numbers that this transaction has found on a list."""
        self.listed[list_name].update(cast("Iterable[E164]", numbers))

    def keep(self, shard: Shard) -> None:
        """Remove all subjects that a shard of a cluster does not own."""
        self.openings = {opening for opening in self.openings if owns(shard, opening[0])}
        for some in (self.numbers, self.listed):
            for list_name, numbers in some.items():
                some[list_name] = {number for number in numbers if owns(shard, number)}

    def __bool__(self) -> bool:
        return bool(self.openings) or any(self.numbers.values()) or any(self.listed.values())

    def remove(self, others: "Subjects") -> None:
        """Remove the subjects that are also in `others`."""
        self.openings -= others.openings
        for list_name in self.numbers.keys() | self.listed.keys():
            known = others.numbers.get(list_name, set()) | others.listed.get(list_name, set())
            self.numbers[list_name] -= known
            self.listed[list_name] -= known


@dataclass(frozen=True, slots=True)
class Truth:
    """What SQL says about subjects: whether numbers are on a list, and the live override of each lead on a number."""

    standing: Mapping[str, Mapping[E164, bool]]
    overrides: Mapping[LeadOnNumber, LiveOverride | None]

    def negatives(self) -> "Truth":
        """Return the part of this truth about numbers that are not on their list, and leads without a live override."""
        standing = {name: {n: stands for n, stands in ns.items() if not stands} for name, ns in self.standing.items()}
        return Truth(standing, {opening: None for opening, override in self.overrides.items() if override is None})


def owns(shard: Shard, number: E164) -> bool:
    """Return whether the keys of a number belong to this shard."""
    return shard.owns(slot_of_number(number))


async def truth_of(session: AsyncSession, subjects: Subjects, at: datetime) -> Truth:
    """Read what SQL says about `subjects` at `at` (aware UTC).

    A number that is also in `numbers` is read again: its entry may have been lifted since it was found listed.
    """
    standing = {name: dict.fromkeys(numbers, True) for name, numbers in subjects.listed.items()}
    for name, numbers in subjects.numbers.items():
        if numbers:
            standing.setdefault(name, {}).update(await _standing(session, name, numbers))
    return Truth(standing, await _overrides(session, subjects.openings, at))


async def _standing(session: AsyncSession, list_name: str, numbers: set[E164]) -> dict[E164, bool]:
    """Return for each number whether it is on the list.

    Each number is looked up by a scalar subquery, which PostgreSQL always runs on the index. With any other form of
    query, PostgreSQL may read the whole list for each change while its statistics are out of date.
    """
    number = each_of(session, numbers)
    entry = select(SuppressionEntry.id).where(
        SuppressionEntry.list_name == list_name, SuppressionEntry.number == number, SuppressionEntry.lifted_at.is_(None)
    )
    rows = await session.execute(select(number, entry.limit(1).scalar_subquery()))
    return {E164(asked): entry_id is not None for asked, entry_id in rows}


async def _overrides(
    session: AsyncSession, openings: set[LeadOnNumber], at: datetime
) -> dict[LeadOnNumber, LiveOverride | None]:
    found: dict[LeadOnNumber, LiveOverride | None] = dict.fromkeys(openings)
    if openings:
        asked = each_of(session, {number for number, _ in openings})
        for row in await session.execute(_live_overrides(at).where(Override.number == asked)):
            opening, override = _opened(row)
            if opening in found:
                found[opening] = override
    return found


def _live_overrides(at: datetime) -> Select[int, str, str, str, datetime]:
    """Select the overrides that are live at `at`. If a lead has several, the one that lasts longest comes last."""
    return (
        select(Override.id, Override.number, Override.lead_id, Override.basis, Override.expires_at)
        .where(*Override.opening(at))
        .order_by(Override.expires_at, Override.id)
    )


def _opened(row: Row[int, str, str, str, datetime]) -> tuple[LeadOnNumber, LiveOverride]:
    override_id, number, lead, basis, expires_at = row
    return (E164(number), LeadId(lead)), LiveOverride(str(override_id), basis, expires_at)


async def all_exchanges(session: AsyncSession) -> AsyncGenerator[tuple[str, str, list[int]], None]:
    """Yield every entry that is not lifted, as (list, exchange, ascending line numbers), in constant memory.

    An exchange comes in several parts when it is large, or when longer numbers sort in between.
    """
    entries = SuppressionEntry.__table__.columns  # Selecting plain columns skips SQLAlchemy's object mapper.
    standing = (
        select(entries.list_name, entries.number)
        .where(entries.lifted_at.is_(None))
        .order_by(entries.list_name, entries.number)
    )
    rows = await session.stream(standing.execution_options(yield_per=ROWS_AT_ONCE))
    async with _ending(rows.close):
        async for some in rows.partitions():
            for (list_name, exchange), group in groupby(some, lambda row: (row[0], row[1][1:-LINE_DIGITS])):
                yield list_name, exchange, [int(row[1][-LINE_DIGITS:]) for row in group]


async def all_overrides(session: AsyncSession, at: datetime) -> AsyncGenerator[tuple[LeadOnNumber, LiveOverride], None]:
    """Yield every override that is live at `at`. If a lead has several, the one that lasts longest comes last."""
    rows = await session.stream(_live_overrides(at).execution_options(yield_per=ROWS_AT_ONCE))
    async with _ending(rows.close):
        async for some in rows.partitions():
            for row in some:
                yield _opened(row)


@asynccontextmanager
async def _ending(close: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Close a result at the end. A cursor on the server (PostgreSQL) must not outlive its transaction.

    The caller closes the generator that reads the result (`contextlib.aclosing`), if an error may end its loop.
    """
    try:
        yield
    finally:
        await close()


async def registry_versions(session: AsyncSession) -> dict[str, int]:
    """Return the version in force of each registry that has one, by name."""
    versions = select(Registry.name, Registry.version_in_force_id).where(Registry.version_in_force_id.is_not(None))
    rows = await session.execute(versions.order_by(Registry.name))
    return {name: version for name, version in rows if version is not None}


async def registry_exchanges(
    session: AsyncSession, version_id: int
) -> AsyncGenerator[Sequence[tuple[str, bytes]], None]:
    """Yield the exchanges of a version, ascending, in batches of (exchange, lines as encoded in SQL)."""
    exchanges = RegistryExchange.__table__.columns
    held = select(exchanges.exchange, exchanges.lines).where(exchanges.version_id == version_id)
    rows = await session.stream(held.order_by(exchanges.exchange).execution_options(yield_per=EXCHANGES_AT_ONCE))
    async with _ending(rows.close):
        async for some in rows.partitions():
            yield [(row[0], row[1]) for row in some if row[1]]


async def counts(session: AsyncSession) -> dict[str, int]:
    """Return how many numbers each list has: first the company's own lists, then the registries in force."""
    return await own_counts(session) | await _registry_counts(session)


async def may_shrink(session: AsyncSession) -> set[str]:
    """Return the registries whose version in force may be much smaller than the previous one, because a person allowed
    it.
    """
    allowed = select(Registry.name).join(RegistryVersion, RegistryVersion.id == Registry.version_in_force_id)
    return set(await session.scalars(allowed.where(RegistryVersion.may_shrink)))


async def _registry_counts(session: AsyncSession) -> dict[str, int]:
    """Return how many numbers each version in force has. They were counted when the version was completed."""
    counted = select(Registry.name, RegistryVersion.numbers).join(
        RegistryVersion, RegistryVersion.id == Registry.version_in_force_id
    )
    return {row[0]: row[1] for row in await session.execute(counted.order_by(Registry.name))}


async def counts_of(session: AsyncSession, shard: Shard) -> dict[str, int]:
    """Return how many numbers each of the company's own lists has on one shard of a cluster."""
    entries = SuppressionEntry.__table__.columns
    exchange = func.substr(entries.number, 2, func.length(entries.number) - 1 - LINE_DIGITS)
    counted = (
        select(entries.list_name, exchange, func.count())
        .where(entries.lifted_at.is_(None))
        .group_by(entries.list_name, exchange)
        .order_by(entries.list_name)
    )
    found = {INTERNAL: 0}
    for list_name, where, numbers in await session.execute(counted):
        if shard.owns(slot_of(where)):
            found[list_name] = found.get(list_name, 0) + numbers
    return found


async def own_counts(session: AsyncSession) -> dict[str, int]:
    """Return how many numbers each of the company's own lists has; `internal` is always included, and first."""
    counted = (
        select(SuppressionEntry.list_name, func.count())
        .where(SuppressionEntry.lifted_at.is_(None))
        .group_by(SuppressionEntry.list_name)
        .order_by(SuppressionEntry.list_name)
    )
    return {INTERNAL: 0} | {row[0]: row[1] for row in await session.execute(counted)}
