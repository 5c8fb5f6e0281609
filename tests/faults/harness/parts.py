"""The parts of a cluster that are watched each for itself: one shard may be away while the others answer."""

from functools import cache

from compliance.cluster import SLOTS
from compliance.numbers import E164
from compliance.redis_schema import slot_of_number

PARTS = 3
"""As many as a cluster has masters."""


@cache
def part_of(number: str, moved: frozenset[int] = frozenset()) -> int:
    """Return the part to which a number belongs: its shard, or the last part if its slot is one of those that moved."""
    slot = slot_of_number(E164(number))
    return PARTS if slot in moved else slot * PARTS // SLOTS
