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


async def lists_of(session: AsyncSession, number: E164) -> tuple[str, ...]:
    """Name the lists that one number stands on, the company's own first."""
    return (await lists_of_many(session, [number]))[number]


async def lists_of_many(session: AsyncSession, numbers: Collection[E164]) -> dict[E164, tuple[str, ...]]:
    """Name the lists that each number stands on, the company's own first, then the registries by name."""
    return dict.fromkeys(numbers, ()) | await listed_among(session, numbers)


async def listed_among(session: AsyncSession, numbers: Collection[E164]) -> dict[E164, tuple[str, ...]]:
    """Give those of the numbers that stand on any list, each with its lists as `lists_of_many` orders them."""
    own, published = await _own_lists(session, numbers), await _registries(session, numbers)
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


async def _registries(session: AsyncSession, numbers: Collection[E164]) -> dict[E164, set[str]]:
    """Look each number up in the versions in force; an exchange is read once, however many numbers share it."""
    asked: dict[str, list[E164]] = defaultdict(list)
    for number in numbers:
        asked[exchange_and_line(number)[0]].append(number)
    published = (
        select(Registry.name, RegistryExchange.exchange, RegistryExchange.lines)
        .join(RegistryExchange, RegistryExchange.version_id == Registry.version_in_force_id)
        .where(RegistryExchange.exchange.in_(select(each_of(session, asked))))
    )
    lists: dict[E164, set[str]] = defaultdict(set)
    for name, exchange, lines in await session.execute(published):
        for number in asked[exchange]:
            if holds(lines, exchange_and_line(number)[1]):
                lists[number].add(name)
    return lists
