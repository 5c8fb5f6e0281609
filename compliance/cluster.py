"""A Redis Cluster as its nodes describe it: which master owns which hash slots. No input or output here.

A shard is a master with the slots that it owns. Its name is the lowest of them: its shared keys carry a tag that
hashes to that slot, so that they stand on it. Its reign is the number of the election (or of the move of slots) that
made it what it is, with a digest of its slots: whoever gains a slot, loses one, or takes the place of a dead master
has another reign from then on.
"""

import hashlib
import re
from binascii import crc_hqx
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

SLOTS = 16_384

Ranges = tuple[tuple[int, int], ...]
"""First and last slot of each range, ascending."""

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_ADDRESS = re.compile(r"(.*):([0-9]{1,5})(?:@[0-9]*)?(?:,.*)?")


class NotACluster(Exception):
    """What a node says of its cluster cannot be read."""


def slot_of(tag: str) -> int:
    """Give the slot of all keys with this hash tag: the CRC16 of XMODEM, as the cluster specification has it."""
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
    """Give the smallest number that, written as a hash tag, falls into `slot`: always the same one."""
    return _tags()[slot]


@dataclass(frozen=True, slots=True)
class Shard:
    """A master of the cluster: its node id, HOST:PORT, the number of its last election, and the slots it owns."""

    id: str
    address: str
    epoch: int
    ranges: Ranges

    @property
    def first(self) -> int:
        """The lowest slot: the shard's name."""
        return self.ranges[0][0]

    @property
    def reign(self) -> str:
        """What is another one as soon as the shard has won an election, or has gained or lost a slot."""
        digest = hashlib.sha256(repr(self.ranges).encode()).hexdigest()[:12]
        return f"{self.epoch}.{digest}"

    def owns(self, slot: int) -> bool:
        """Tell whether a slot is one of its own."""
        return any(first <= slot <= last for first, last in self.ranges)

    def slots(self) -> Iterable[int]:
        """Give each of its slots."""
        return (slot for first, last in self.ranges for slot in range(first, last + 1))


@dataclass(frozen=True, slots=True)
class View:
    """The cluster as one node sees it: itself, when it is a master with slots, all such masters, and the
    addresses of all nodes that it does not call dead.
    """

    myself: Shard | None
    shards: Mapping[str, Shard]
    addresses: frozenset[str]

    @property
    def newest(self) -> int:
        """The latest election that this node has heard of."""
        return max((shard.epoch for shard in self.shards.values()), default=-1)


def read_nodes(reply: bytes, asked: str = "") -> View:
    """Read the answer of the node at `asked` to CLUSTER NODES. Raises NotACluster."""
    shards: dict[str, Shard] = {}
    addresses: set[str] = set()
    myself: Shard | None = None
    for line in reply.decode("utf-8", "replace").splitlines():
        try:
            node, where, flags, _, _, _, epoch, _, *slots = line.split(" ")
            address = _address(where, asked if "myself" in flags else "")
            if "fail" not in flags.split(","):
                addresses.add(address)
            ranges = _ranges(slots)
            if "master" in flags.split(",") and ranges and address:
                shards[node] = Shard(node, address, int(epoch), ranges)
                myself = shards[node] if "myself" in flags else myself
        except ValueError:
            raise NotACluster(f"it describes its cluster in words that cannot be read: {line[:80]!r}") from None
    return View(myself, shards, frozenset(addresses - {""}))


def _address(where: str, otherwise: str) -> str:
    """Give HOST:PORT; a node that does not know its own address is where it was asked."""
    found = _ADDRESS.fullmatch(where)
    if found is None:
        raise ValueError(where)
    host, port = found[1], found[2]
    if not host or port == "0":
        return otherwise
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ranges(words: Iterable[str]) -> Ranges:
    """Read slots; one that is on the move, in brackets, belongs to its owner until it has moved."""
    found = [_RANGE.fullmatch(word) for word in words if word and not word.startswith("[")]
    if not all(found):
        raise ValueError
    return tuple(sorted((int(one[1]), int(one[2] or one[1])) for one in found if one))


@dataclass(frozen=True, slots=True)
class Topology:
    """The shards, ascending by their names, and the addresses of all nodes that are not dead."""

    shards: tuple[Shard, ...] = ()
    addresses: frozenset[str] = frozenset()

    def owner(self, slot: int) -> Shard | None:
        """Give the shard that a slot belongs to; None when nobody serves it.

        While a slot moves, its old and its new owner may both call it their own: the later election counts.
        """
        owners = [shard for shard in self.shards if shard.owns(slot)]
        return max(owners, key=lambda shard: shard.epoch, default=None)

    def named(self, first: int) -> Shard | None:
        """Give the shard whose lowest slot is `first`."""
        return next((shard for shard in self.shards if shard.first == first), None)


def agree(views: Iterable[View]) -> Topology:
    """Make one topology of what several nodes say. Raises NotACluster when none of them names a shard.

    Who has heard of the latest election says which shards there are; what each of them says of itself, if it was
    asked, outweighs what others say of it.
    """
    seen = list(views)
    best = max(seen, key=lambda view: view.newest, default=None)
    if best is None or not best.shards:
        raise NotACluster("it names no master with slots")
    own = {view.myself.id: view.myself for view in seen if view.myself}
    shards = (own.get(node, shard) for node, shard in best.shards.items())
    return Topology(tuple(sorted(shards, key=lambda one: one.ranges)), best.addresses)
