"""On which lists a number stands, by the system of record."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.registries.lines import holds
from admin_web.services.dialect import each_of
from compliance.models import Registry, RegistryExchange, SuppressionEntry
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL, exchange_and_line

MOST_KEPT = 110_000
"""Exchanges that a shelf holds, in about 150 MB: as many as the whole United States registry has."""


async def lists_of(session: AsyncSession, number: E164) -> tuple[str, ...]:
    """Name the lists that one number stands on, the company's own first."""
    return (await lists_of_many(session, [number]))[number]


async def lists_of_many(session: AsyncSession, numbers: Collection[E164]) -> dict[E164, tuple[str, ...]]:
    """Name the lists that each number stands on, the company's own first, then the registries by name."""
    return dict.fromkeys(numbers, ()) | await listed_among(session, numbers)


class Shelf:
    """Exchanges of registries that were looked at in one snapshot, so that a long list reads each of them once.

    `kept` has for each exchange the registries that list a number of it, and their lines.
    """

    def __init__(self, most: int = MOST_KEPT) -> None:
        self.kept: dict[str, list[tuple[str, bytes]]] = {}
        self._most = most

    async def fetch(self, session: AsyncSession, exchanges: Collection[str]) -> None:
        """Have all of these on the shelf."""
        missing = [exchange for exchange in exchanges if exchange not in self.kept]
        if not missing:
            return
        if len(self.kept) + len(missing) > self._most:
            self.kept.clear()
            missing = list(exchanges)
        self.kept |= {exchange: [] for exchange in missing}
        published = (
            select(Registry.name, RegistryExchange.exchange, RegistryExchange.lines)
            .join(RegistryExchange, RegistryExchange.version_id == Registry.version_in_force_id)
            .where(RegistryExchange.exchange.in_(select(each_of(session, missing))))
        )
        for name, exchange, lines in await session.execute(published):
            self.kept[exchange].append((name, lines))


async def listed_among(
    session: AsyncSession, numbers: Collection[E164], shelf: Shelf | None = None
) -> dict[E164, tuple[str, ...]]:
    """Give those of the numbers that stand on any list, each with its lists as `lists_of_many` orders them.

    What is read of registries is put on the shelf; it must belong to the same snapshot.
    """
    own, published = await _own_lists(session, numbers), await _registries(session, numbers, shelf or Shelf())
    return {number: (*_ordered(own[number]), *sorted(published[number])) for number in {*own, *published}}


def _ordered(own: Iterable[str]) -> list[str]:
    return sorted(own, key=lambda name: (name != INTERNAL, name))


async def _own_lists(session: AsyncSession, numbers: Collection[E164]) -> dict[E164, set[str]]:
    lists: dict[E164, set[str]] = defaultdict(set)
    standing = select(SuppressionEntry.number, SuppressionEntry.list_name).where(
        SuppressionEntry.lifted_at.is_(None), SuppressionEntry.number.in_(select(each_of(session, numbers)))
    )
    for number, list_name in await session.execute(standing):
        lists[E164(number)].add(list_name)
    return lists


async def _registries(session: AsyncSession, numbers: Collection[E164], shelf: Shelf) -> dict[E164, set[str]]:
    """Look each number up in the versions in force."""
    places = {number: exchange_and_line(number) for number in numbers}
    await shelf.fetch(session, {exchange for exchange, _ in places.values()})
    lists: dict[E164, set[str]] = defaultdict(set)
    for number, (exchange, line) in places.items():
        for name, lines in shelf.kept[exchange]:
            if holds(lines, line):
                lists[number].add(name)
    return lists
