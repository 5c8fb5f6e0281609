"""The pending outbox rows that each shard of a cluster has applied. A row is done when all its shards have applied it.

Each process keeps its own ledger in memory. A row that is missing from the ledger is applied again, which is harmless.
Rows that a shard applied under an earlier reign do not count.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Set
from typing import TypeAlias

from admin_web.projection.outbox import OutboxChange
from compliance.cluster import Shard, Topology
from compliance.numbers import E164
from compliance.redis_schema import slot_of_number

Reign: TypeAlias = tuple[int, str]
"""A shard's lowest slot, and its reign."""


class Ledger:
    """The rows that each shard has applied. `topology` is a function that returns the shards that exist now."""

    def __init__(self, topology: Callable[[], Topology]) -> None:
        self._topology = topology
        self._applied: dict[Reign, set[int]] = defaultdict(set)

    def applied_by(self, shard: Shard, pending: Set[int]) -> Set[int]:
        """Return those of the `pending` rows that a shard has applied, and forget its other rows."""
        applied = self._applied[_reign(shard)]
        applied &= pending
        return applied

    def has_rows(self, shard: Shard) -> bool:
        """Return whether any row is recorded as applied by this shard."""
        return bool(self._applied.get(_reign(shard)))

    def record(self, shard: Shard, rows: Iterable[int]) -> None:
        """Record that a shard has acknowledged these rows, or that they do not concern it."""
        self._applied[_reign(shard)].update(rows)

    def finished(self, rows: Collection[OutboxChange]) -> list[int]:
        """Return the ids of the rows that have been applied by all shards they concern."""
        return [row.id for row in rows if all(self._has(shard, row.id) for shard in self._concerned(row))]

    def owners_have(self, slots: Iterable[int], rows: Set[int]) -> bool:
        """Return whether each of `slots` has an owner now, and each owner has applied all `rows`."""
        topology = self._topology()
        owners = {topology.owner(slot) for slot in slots}
        return all(shard is not None and rows <= self._applied.get(_reign(shard), set()) for shard in owners)

    def _has(self, shard: Shard | None, row: int) -> bool:
        return shard is not None and row in self._applied.get(_reign(shard), ())

    def _concerned(self, row: OutboxChange) -> Iterable[Shard | None]:
        """Return the shards that a row concerns, and None for a slot that no shard serves. Terms concern all shards."""
        topology = self._topology()
        if not row.numbers:
            return topology.shards or (None,)
        slots = {slot_of_number(E164(number)) for number in row.numbers}
        return [topology.owner(slot) for slot in slots]


def _reign(shard: Shard) -> Reign:
    return shard.first, shard.reign
