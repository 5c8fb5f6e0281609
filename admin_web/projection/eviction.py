"""Whether Redis evicts keys of the projection, and whether it has done so since the projection was built.

The policies `allkeys-*` evict any key, and a missing set looks like "not listed". The policies `volatile-*` evict only
keys that expire: the lease, the overrides and the heartbeats of gates. Without one of these, calls are blocked, or a
gate is not shown. So only evictions under another policy than these may have taken a set.

The policy can be changed at any moment. `dnc:state` therefore keeps the count of evicted keys and the policy from the
last moment at which the projection was known to be complete.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from compliance.redis_schema import EVICTED

MAY_EVICT, HAS_EVICTED = "may-evict", "evicted"
"""The reasons why the gate must not rely on a projection, as slugs."""

NO_EVICTION = "noeviction"


class Evictions(NamedTuple):
    """How many keys Redis has evicted since its start, and its present policy."""

    keys: int = 0
    policy: str = NO_EVICTION

    @property
    def may_take_sets(self) -> bool:
        """Whether Redis may evict listed numbers now."""
        return self.policy.startswith("allkeys")

    @property
    def only_expiring(self) -> bool:
        """Whether Redis evicts only keys that expire."""
        return self.policy.startswith("volatile")

    def spared(self, before: "Evictions") -> bool:
        """Return whether no set was evicted since `before`."""
        return self.keys == before.keys or (self.only_expiring and before.only_expiring)

    @property
    def field(self) -> tuple[str, str]:
        """The field of `dnc:state` and its value."""
        return EVICTED, f"{self.keys}:{self.policy}"


NONE_YET = Evictions()

_COUNT = re.compile(r"[0-9]{1,18}")


def read_evictions(memory: Mapping[str, str], stats: Mapping[str, str]) -> Evictions:
    """Read the replies to INFO memory and INFO stats."""
    return Evictions(int(stats.get("evicted_keys", 0)), memory.get("maxmemory_policy", NO_EVICTION))


def recorded_evictions(fields: Mapping[bytes, bytes]) -> Evictions:
    """Read the field of `dnc:state`. A projection of an earlier version has none, and counts as built at the start."""
    count, _, policy = fields.get(EVICTED.encode(), b"").decode("ascii", "replace").partition(":")
    return Evictions(int(count), policy) if _COUNT.fullmatch(count) else NONE_YET
