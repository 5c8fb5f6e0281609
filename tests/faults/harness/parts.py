"""The parts of a cluster that are watched each for itself: one shard may be away while the others answer."""

from functools import cache

from compliance.cluster import SLOTS
from compliance.numbers import E164
from compliance.redis_schema import slot_of_number

PARTS = 3
"""As many as a cluster has masters. Few slots move during a run, so a part and its shard stay nearly the same."""


@cache
def part_of(number: str) -> int:
    """Return the part to which a number belongs."""
    return slot_of_number(E164(number)) * PARTS // SLOTS
