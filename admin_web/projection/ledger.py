"""Which shard of a cluster has which of the outbox rows that are pending: a row is applied when all that it is about
have it.

It is kept in memory, by each process for itself: what it forgets is applied once more, which changes nothing. What a
shard had under another reign does not count.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Set
from typing import TypeAlias

from admin_web.projection.outbox import OutboxChange
from compliance.cluster import Shard, Topology
from compliance.numbers import E164
from compliance.redis_schema import slot_of_number

Reign: TypeAlias = tuple[int, str]
"""A shard's name, and its reign."""


class Ledger:
    """What each shard has, as `topology` says which shards there are."""

    def __init__(self, topology: Callable[[], Topology]) -> None:
        self._topology = topology
        self._had: dict[Reign, set[int]] = defaultdict(set)

    def had_by(self, shard: Shard, pending: Set[int]) -> Set[int]:
        """Give the rows that a shard has of those that are pending; the others are forgotten."""
        had = self._had[_reign(shard)]
        had &= pending
        return had

    def knows(self, shard: Shard) -> bool:
        """Tell whether a shard has any rows that were pending when it was last asked."""
        return bool(self._had.get(_reign(shard)))

    def note(self, shard: Shard, rows: Iterable[int]) -> None:
        """Take note that a shard has acknowledged these rows, or has nothing to do with them."""
        self._had[_reign(shard)].update(rows)

    def finished(self, rows: Collection[OutboxChange]) -> list[int]:
        """Give the ids of the rows that every shard has that they are about."""
        return [row.id for row in rows if all(self._has(shard, row.id) for shard in self._concerned(row))]

    def _has(self, shard: Shard | None, row: int) -> bool:
        return shard is not None and row in self._had.get(_reign(shard), ())

    def _concerned(self, row: OutboxChange) -> Iterable[Shard | None]:
        """Give the shards that a row is about; None for a slot that nobody serves. Terms concern all of them."""
        topology = self._topology()
        if not row.numbers:
            return topology.shards or (None,)
        slots = {slot_of_number(E164(number)) for number in row.numbers}
        return [topology.owner(slot) for slot in slots]


def _reign(shard: Shard) -> Reign:
    return shard.first, shard.reign
