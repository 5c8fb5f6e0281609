"""A Redis Cluster as its nodes describe it: which master owns which hash slots. This module does no input or output.

A shard is a master with the slots that it owns. The lowest of these slots is the shard's name. A key that belongs to
the shard as a whole has a hash tag of that slot, so Redis keeps the key on the shard.

The reign of a shard is its configuration epoch and a digest of its slots. The epoch changes with each election and
with each move of a slot. So a master begins a new reign when it gains or loses a slot, or replaces a dead master.
"""

import hashlib
import re
from binascii import crc_hqx
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, count

SLOTS = 16_384

Ranges = tuple[tuple[int, int], ...]
"""First and last slot of each range, ascending."""

# CLUSTER NODES writes single slots and ranges of slots. It writes an address as ip:port@cport; a comma and a host name
# may follow (Redis documentation, CLUSTER NODES).
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_ADDRESS = re.compile(r"(.*):([0-9]{1,5})(?:@[0-9]*)?(?:,.*)?")


class NotACluster(Exception):
    """A node's reply does not describe a cluster. The message says why."""


def slot_of(tag: str) -> int:
    """Return the slot of all keys with this hash tag: CRC16 (XMODEM) modulo 16384 (Redis cluster specification)."""
    return crc_hqx(tag.encode(), 0) % SLOTS


@lru_cache(maxsize=1)
def _tags() -> list[str]:
    found: dict[int, str] = {}
    for number in count():
        found.setdefault(slot_of(str(number)), str(number))
        if len(found) == SLOTS:
            return [found[slot] for slot in range(SLOTS)]
    raise AssertionError


def slot_tag(slot: int) -> str:
    """Return the smallest number that, as a hash tag, hashes to `slot`. It is always the same for one slot."""
    return _tags()[slot]


@dataclass(frozen=True, slots=True)
class Shard:
    """A master of the cluster: its node id, its HOST:PORT, its configuration epoch, and the slots that it owns."""

    id: str
    address: str
    epoch: int
    ranges: Ranges

    @property
    def first(self) -> int:
        """The shard's lowest slot, which serves as its name."""
        return self.ranges[0][0]

    @property
    def reign(self) -> str:
        """The name of the reign. It changes when the shard wins an election, or gains or loses a slot."""
        digest = hashlib.sha256(repr(self.ranges).encode()).hexdigest()[:12]
        return f"{self.epoch}.{digest}"

    def owns(self, slot: int) -> bool:
        """Return whether the shard owns a slot."""
        return any(first <= slot <= last for first, last in self.ranges)

    def owns_any(self, slots: Iterable[int]) -> bool:
        """Return whether the shard owns any of `slots`."""
        return any(map(self.owns, slots))

    def slots(self) -> Iterable[int]:
        """Return an iterator over the slots of the shard, ascending."""
        return (slot for first, last in self.ranges for slot in range(first, last + 1))


@dataclass(frozen=True, slots=True)
class View:
    """The cluster as one node sees it.

    `myself` is the shard of that node; None if the node is no master or has no slots. `shards` maps node ids to all
    masters with slots. `addresses` has the HOST:PORT of each node that is not marked as failed. `failed` has the ids of
    the nodes that most masters have found silent, `suspected` those that this node alone finds silent.
    """

    myself: Shard | None
    shards: Mapping[str, Shard]
    addresses: frozenset[str]
    failed: frozenset[str] = frozenset()
    suspected: frozenset[str] = frozenset()

    @property
    def newest(self) -> int:
        """The highest configuration epoch that this node knows; -1 if it knows no shard."""
        return max((shard.epoch for shard in self.shards.values()), default=-1)


def read_nodes(reply: bytes, asked: str = "") -> View:
    """Parse the reply to CLUSTER NODES from the node at `asked` (HOST:PORT). Raises NotACluster."""
    shards: dict[str, Shard] = {}
    addresses: set[str] = set()
    marked: dict[str, set[str]] = {"fail": set(), "fail?": set()}
    myself: Shard | None = None
    for line in reply.decode("utf-8", "replace").splitlines():
        try:
            node, where, flags, _, _, _, epoch, _, *slots = line.split(" ")
            address = _address(where, asked if "myself" in flags else "")
            for mark in marked.keys() & flags.split(","):
                marked[mark].add(node)
            if node not in marked["fail"]:
                addresses.add(address)
            ranges = _ranges(slots)
            if "master" in flags.split(",") and ranges and address:
                shards[node] = Shard(node, address, int(epoch), ranges)
                myself = shards[node] if "myself" in flags else myself
        except ValueError:
            raise NotACluster(f"its reply to CLUSTER NODES cannot be parsed: {line[:80]!r}") from None
    return View(myself, shards, frozenset(addresses - {""}), frozenset(marked["fail"]), frozenset(marked["fail?"]))


def _address(where: str, otherwise: str) -> str:
    """Return HOST:PORT, or `otherwise` for a node that does not know its own address yet. Raises ValueError."""
    found = _ADDRESS.fullmatch(where)
    if found is None:
        raise ValueError(where)
    host, port = found[1], found[2]
    if not host or port == "0":
        return otherwise
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ranges(words: Iterable[str]) -> Ranges:
    """Parse slots and ranges of slots. Raises ValueError."""
    # An entry in brackets is a slot in transit. Until the move ends, its owner also lists the slot without brackets.
    found = [_RANGE.fullmatch(word) for word in words if word and not word.startswith("[")]
    if not all(found):
        raise ValueError
    return tuple(sorted((int(one[1]), int(one[2] or one[1])) for one in found if one))


@dataclass(frozen=True, slots=True)
class Topology:
    """The shards, ascending by name, and the HOST:PORT of each node that is not marked as failed.

    `by_majority` says whether more than half of the masters have answered. Masters that are cut off do not know whether
    the others have replaced them. `doubted` has the names of the shards whose master may be replaced soon: a node
    that has answered marks it as failed, or at least half of the masters suspect it.
    """

    shards: tuple[Shard, ...] = ()
    addresses: frozenset[str] = frozenset()
    by_majority: bool = field(default=False, compare=False)
    doubted: frozenset[int] = field(default=frozenset(), compare=False)

    def owner(self, slot: int) -> Shard | None:
        """Return the shard that owns a slot; None if no shard serves it."""
        # For a while after a move, both the old and the new owner may claim the slot. The owner with the higher epoch
        # wins, as among the nodes themselves (Redis documentation, CLUSTER SET-CONFIG-EPOCH).
        owners = [shard for shard in self.shards if shard.owns(slot)]
        return max(owners, key=lambda shard: shard.epoch, default=None)

    def named(self, first: int) -> Shard | None:
        """Return the shard whose lowest slot is `first`; None if there is none."""
        return next((shard for shard in self.shards if shard.first == first), None)


def merge_views(views: Iterable[View]) -> Topology:
    """Merge the views of several nodes into one topology. Raises NotACluster if none of them knows a shard.

    The view with the highest epoch decides which shards exist. If a shard itself was queried, its own description
    replaces that of any other node.
    """
    seen = list(views)
    best = max(seen, key=lambda view: view.newest, default=None)
    if best is None or not best.shards:
        raise NotACluster("it knows no master with slots")
    own = {view.myself.id: view.myself for view in seen if view.myself}
    shards = sorted((own.get(node, shard) for node, shard in best.shards.items()), key=lambda one: one.ranges)
    answered = len(best.shards.keys() & own.keys())
    failing = _failing(seen, len(shards))
    doubted = frozenset(shard.first for shard in shards if shard.id in failing)
    return Topology(tuple(shards), best.addresses, by_majority=2 * answered > len(shards), doubted=doubted)


def _failing(views: Sequence[View], masters: int) -> set[str]:
    """Return the nodes that any view marks as failed, or that at least half of the masters suspect.

    A replica elects itself only while it and most masters mark its master as failed. They remove the mark some time
    after the master is back (Redis source, clearNodeFailureIfNeeded), so a master that is back may still be replaced.
    """
    suspected = Counter(chain.from_iterable(view.suspected for view in views if view.myself))
    often = {node for node, times in suspected.items() if 2 * times >= masters}
    return often.union(*(view.failed for view in views))
