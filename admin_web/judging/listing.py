"""The lists that numbers are on, according to the system of record."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.dialect import each_of
from admin_web.record.lines import LINES, Flags, held
from admin_web.record.models import Registry, RegistryExchange, SuppressionEntry
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL

Numbers: TypeAlias = npt.NDArray[np.int64]
"""E.164 numbers as integers, without the plus. Queries take distinct numbers in ascending order, so that the database
reads its indexes in one direction.
"""

MOST_NUMBERS = 10_000
"""Maximum number of telephone numbers in one statement."""

MOST_EXCHANGES = 1_000
"""Maximum number of exchanges in one statement. For one registry this is at most about 1.3 MB."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The lists that each number is on: number `i` is on the lists in `lists[kinds[i]]`."""

    kinds: Numbers
    lists: Sequence[tuple[str, ...]]


def spelled(numbers: Numbers) -> list[E164]:
    """Return numbers as E.164 strings, with the plus."""
    return cast("list[E164]", [f"+{number}" for number in numbers.tolist()])


async def lists_of(session: AsyncSession, number: E164) -> tuple[str, ...]:
    """Return the names of the lists that a number is on: first the company's own lists, then the registries."""
    return (await lists_of_many(session, [number]))[number]


async def lists_of_many(session: AsyncSession, numbers: Collection[E164]) -> dict[E164, tuple[str, ...]]:
    """Return the names of the lists that each number is on: first the company's own lists, then the registries."""
    asked = np.array(sorted({int(number) for number in numbers}), np.int64)
    standing = await standing_of(session, asked)
    lists = dict(zip(asked.tolist(), map(standing.lists.__getitem__, standing.kinds.tolist()), strict=True))
    return {number: lists[int(number)] for number in numbers}


async def standing_of(session: AsyncSession, numbers: Numbers) -> Membership:
    """Return the lists that each number is on. The numbers must be distinct and ascending."""
    standing = Membership(np.zeros(len(numbers), np.int64), [()])
    own, published = await _own_lists(session, numbers), await _registries(session, numbers)
    for name, listed in (*_ordered(own), *sorted(published.items())):
        standing = _with_list(standing, name, listed)
    return standing


def _ordered(own: dict[str, Flags]) -> Iterable[tuple[str, Flags]]:
    return sorted(own.items(), key=lambda named: (named[0] != INTERNAL, named[0]))


def _with_list(standing: Membership, name: str, listed: Flags) -> Membership:
    """Split each group in two: the numbers that are on one more list, and the others."""
    kinds = 2 * standing.kinds + listed
    there = np.bincount(kinds) > 0
    lists = [(*standing.lists[kind >> 1], *[name][: kind & 1]) for kind in np.flatnonzero(there).tolist()]
    return Membership((np.cumsum(there) - 1)[kinds], lists)


async def _own_lists(session: AsyncSession, numbers: Numbers) -> dict[str, Flags]:
    found: dict[str, list[int]] = defaultdict(list)
    for begin in range(0, len(numbers), MOST_NUMBERS):
        some = spelled(numbers[begin : begin + MOST_NUMBERS])
        standing = select(SuppressionEntry.list_name, SuppressionEntry.number).where(
            SuppressionEntry.lifted_at.is_(None), SuppressionEntry.number.in_(select(each_of(session, some)))
        )
        for name, number in (await session.execute(standing)).all():
            found[name].append(int(number))
    return {name: _among(numbers, listed) for name, listed in found.items()}


def _among(numbers: Numbers, some: Sequence[int]) -> Flags:
    """Return for each number whether it is one of `some`."""
    flags = np.zeros(len(numbers), np.bool_)
    flags[np.searchsorted(numbers, some)] = True
    return flags


async def _registries(session: AsyncSession, numbers: Numbers) -> dict[str, Flags]:
    """Return for each registry whether its version in force lists each of the numbers."""
    exchanges, begins = np.unique(numbers // LINES, return_index=True)
    begins = np.append(begins, len(numbers))
    lists: dict[str, Flags] = defaultdict(lambda: np.zeros(len(numbers), np.bool_))
    for first in range(0, len(exchanges), MOST_EXCHANGES):
        some = exchanges[first : first + MOST_EXCHANGES]
        asked = slice(begins[first], begins[first + len(some)])
        for name, kept in (await _published(session, some)).items():
            lists[name][asked] = _listed_in(kept, numbers[asked])
    return lists


async def _published(session: AsyncSession, exchanges: Numbers) -> dict[str, dict[int, bytes]]:
    """Read the encoded lines of these exchanges in the versions in force, by registry."""
    wanted = (
        select(Registry.name, RegistryExchange.exchange, RegistryExchange.lines)
        .join(RegistryExchange, RegistryExchange.version_id == Registry.version_in_force_id)
        .where(RegistryExchange.exchange.in_(select(each_of(session, [str(one) for one in exchanges.tolist()]))))
    )
    kept: dict[str, dict[int, bytes]] = defaultdict(dict)
    for name, exchange, lines in (await session.execute(wanted)).all():
        kept[name][int(exchange)] = lines
    return kept


def _listed_in(kept: dict[int, bytes], numbers: Numbers) -> Flags:
    """Return for each number whether the exchanges of one registry list it."""
    exchanges, of = np.unique(numbers // LINES, return_inverse=True)
    lines = [kept.get(exchange, b"") for exchange in exchanges.tolist()]
    return held(lines, of, numbers % LINES)
