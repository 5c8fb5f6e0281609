"""The Redis keys that gate and site share, and the encoding of the projection's state and of the overrides.

Each exchange has one set of line numbers per list. The last four digits of an E.164 number are its line number, which
is stored as an integer. The digits before them are the exchange, which is part of the set's key.

Text in braces is a hash tag. On a cluster, all keys of one number hash to the slot of its exchange, so they are on the
shard that owns this slot. Each shard holds a small projection with its own state, lease and stream. Keys without an
exchange get a hash tag that puts them on their shard (`Keys`). Each slot has a mark (`slot_key`) with the server
incarnation that the slot's sets were built for. If a slot was moved to the shard or emptied since the build, it has no
mark, or a mark with another incarnation.

`redis_terms` encodes the terms, and `redis_records` encodes what the gates write.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from compliance.cluster import slot_of, slot_tag
from compliance.facts import LiveOverride, State
from compliance.numbers import E164, LeadId

STATE = "dnc:state"
LEASE = "dnc:lease"
DECISIONS = "dnc:decisions"
UNREADABLE_DECISIONS = "dnc:decisions:unreadable"
ARCHIVE_GROUP = "archive"
GATES = "dnc:gates"
"""Sorted set of the names of gate processes. Each score is the last heartbeat, in milliseconds since 1970 UTC."""

WRITING_PROBE = "dnc:probe"
"""A key that never exists. A gate sends appends to it with NOMKSTREAM, which write nothing, to see if Redis refuses."""

CLOCK = "dnc:clock"
"""What is wrong with the clock of a worker, as a sentence. The key expires."""

INTERNAL = "internal"

INCARNATION = "incarnation"
STATE_FIELDS = ("generation", INCARNATION, "lists", "changes", "terms")

LISTS = "lists"
CHANGES = "changes"
TERMS = "terms"
REBUILT_AT = "rebuilt_at"
EVICTED = "evicted"
MARK, MARK_BEFORE, WRITTEN = "mark", "mark_before", "written"
"""The fields of `dnc:state` that tie it to the history of one database: see `admin_web/projection/history.py`."""

_COUNT = "count:"
_VERSION = "version:"

# Redis stores a set of integers as an array (intset.c) if it has at most set-max-intset-entries members (512 by
# default). A line number takes two bytes in this array; the measured size is 2.1 bytes (python -m bench.memory). A
# larger set becomes a hash table, which takes about thirty times as much memory.
MAX_INTSET_ENTRIES = 10_000
"""Lowest allowed value of `set-max-intset-entries`. An exchange has at most ten thousand lines."""

LINE_DIGITS = 4

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# Eighteen digits always fit into the signed 64-bit integers of HINCRBY.
_COUNTED = re.compile(r"[0-9]{1,18}")
_DIGEST = re.compile(r"[0-9a-f]{16}")
_OF_A_GENERATION = re.compile(r"dnc:([0-9]{1,18}):")
_LISTED = re.compile(r"dnc:[0-9]+:([a-z0-9-]{1,32}):\{([0-9]{1,11})\}")
_OVERRIDE = re.compile(r"dnc:[0-9]+:override:\{([0-9]{1,11})\}:([0-9]{1,4}):([A-Za-z0-9_.-]{1,64})")
_LINE = re.compile(rb"[0-9]{1,4}")


def exchange_and_line(number: E164) -> tuple[str, int]:
    """Split `+14155550100` into `("1415555", 100)`. Each pair belongs to exactly one number."""
    # The line must be the integer 100, not "0100". Redis would store a text with a leading zero as a string, and the
    # set would no longer be an array of integers (string2ll in util.c accepts only the shortest form).
    return number[1:-LINE_DIGITS], int(number[-LINE_DIGITS:])


def number_of(exchange: str, line: int) -> E164:
    """Return the number of an exchange and a line number: the inverse of `exchange_and_line`."""
    return E164(f"+{exchange}{line:0{LINE_DIGITS}d}")


def listed_key(generation: int, list_name: str, exchange: str) -> str:
    """Return the key of the set that holds one exchange's listed line numbers, for one list."""
    return f"dnc:{generation}:{list_name}:{{{exchange}}}"


def override_key(generation: int, number: E164, lead: LeadId) -> str:
    """Return the key of a lead's override on one number."""
    # Lead ids and list names contain no colon and no brace, so each key can be parsed in only one way.
    exchange, line = exchange_and_line(number)
    return f"dnc:{generation}:override:{{{exchange}}}:{line}:{lead}"


def build_key(generation: int) -> str:
    """Return the key that marks a generation as being built. A build whose mark is missing never goes live."""
    return f"dnc:{generation}:build"


def terms_key(generation: int) -> str:
    """Return the key that holds the terms in one generation; `dnc:state` holds their digest."""
    return f"dnc:{generation}:terms"


def slot_key(generation: int, slot: int) -> str:
    """Return the key of a slot's mark in one generation. Its value is the incarnation that the slot was built for."""
    return f"dnc:{generation}:slot{{{slot_tag(slot)}}}"


def slot_of_number(number: E164) -> int:
    """Return the cluster slot that all keys of a number hash to."""
    return slot_of(exchange_and_line(number)[0])


class Keys:
    """The keys that contain no exchange, for a single Redis or for one shard of a cluster.

    `first_slot` is the lowest slot that the shard owns; None means a single Redis.
    """

    def __init__(self, first_slot: int | None = None) -> None:
        self.first_slot = first_slot
        # The tag differs from shard to shard, because each shard needs its own state, lease and stream. A fixed tag
        # would put the keys of all shards on the one shard that owns the tag's slot.
        self._tag = "" if first_slot is None else f"{{{slot_tag(first_slot)}}}"
        self.state = STATE + self._tag
        self.lease = LEASE + self._tag
        self.decisions = DECISIONS + self._tag
        self.unreadable_decisions = UNREADABLE_DECISIONS + self._tag
        self.gates = GATES + self._tag
        self.clock = CLOCK + self._tag
        self.writing_probe = WRITING_PROBE + self._tag

    def build(self, generation: int) -> str:
        """Return the key that marks a generation as being built here: see `build_key`."""
        return build_key(generation) + self._tag

    def terms(self, generation: int) -> str:
        """Return the key that holds the terms in one generation: see `terms_key`."""
        return terms_key(generation) + self._tag

    def mark(self, generation: int, number: E164) -> str:
        """Return the key that marks the number's slot in one generation (see `slot_key`); empty on a single Redis."""
        return "" if self.first_slot is None else slot_key(generation, slot_of_number(number))

    def gate(self, name: str) -> str:
        """Return the key that holds a gate process's heartbeat: see `gate_key`."""
        return gate_key(name) + self._tag


WHOLE = Keys()
"""The keys of a single Redis, which holds the whole projection."""


def generation_pattern(generation: int | None = None) -> str:
    """Return a glob for all keys of one generation, or of every generation."""
    return f"dnc:{'[0-9]*' if generation is None else generation}:*"


def listed_pattern(generation: int, list_name: str) -> str:
    """Return a glob for all keys of one list in one generation."""
    return f"dnc:{generation}:{list_name}:*"


def generation_of(key: str) -> int | None:
    """Return the generation that a key belongs to; None for a key of no generation."""
    found = _OF_A_GENERATION.match(key)
    return int(found[1]) if found else None


def listed_of(key: str) -> tuple[str, str] | None:
    """Return the list and the exchange from a key that `listed_key` built; None for any other key."""
    found = _LISTED.fullmatch(key)
    return (found[1], found[2]) if found else None


def lines_in(members: Iterable[bytes]) -> list[int]:
    """Return the line numbers among the members of a set. No other member blocks a number."""
    return [int(member) for member in members if _LINE.fullmatch(member)]


def override_of(key: str) -> tuple[E164, LeadId] | None:
    """Return the number and the lead from a key that `override_key` built; None for any other key."""
    found = _OVERRIDE.fullmatch(key)
    return (number_of(found[1], int(found[2])), LeadId(found[3])) if found else None


def gate_key(name: str) -> str:
    """Return the key that holds a gate process's last heartbeat. It expires when the heartbeats stop."""
    return f"dnc:gate:{name}"


def count_field(list_name: str) -> str:
    """Return the field of `dnc:state` that counts the numbers on a list."""
    return f"{_COUNT}{list_name}"


def version_field(list_name: str) -> str:
    """Return the field of `dnc:state` that holds the version of a registry's copy in Redis."""
    return f"{_VERSION}{list_name}"


def read_versions(values: Mapping[bytes, bytes]) -> dict[str, int]:
    """Return the version of each registry. `values` are all fields of `dnc:state`; malformed versions are skipped."""
    return _numbered(values, _VERSION)


def read_counts(values: Mapping[bytes, bytes]) -> dict[str, int]:
    """Return the count of numbers by list. `values` are all fields of `dnc:state`; malformed counts are skipped."""
    return _numbered(values, _COUNT)


def _numbered(values: Mapping[bytes, bytes], start: str) -> dict[str, int]:
    return {
        name.decode("ascii", "replace").removeprefix(start): int(value)
        for name, value in values.items()
        if name.startswith(start.encode()) and _COUNTED.fullmatch(value.decode("ascii", "replace"))
    }


def override_value(override: LiveOverride) -> str:
    """Encode an override: id, basis, and expiry in whole milliseconds since 1970 UTC."""
    return f"{override.id}|{override.basis}|{epoch_ms(override.expires_at)}"


def read_override(value: bytes) -> LiveOverride:
    """Parse a value that `override_value` encoded. Raises ValueError for any other."""
    override_id, basis, expires_ms = value.decode("ascii").split("|")
    return LiveOverride(override_id, basis, from_epoch_ms(int(expires_ms)))


def state_values(state: State) -> dict[str, str]:
    """Encode `state` as the fields of `dnc:state`."""
    values = (str(state.generation), state.incarnation, ",".join(state.lists), str(state.changes), state.terms)
    return dict(zip(STATE_FIELDS, values, strict=True))


def read_state(values: Sequence[bytes | None]) -> State | None:
    """Parse the values of `STATE_FIELDS`, in their order. Return None if one is missing or malformed.

    A state without lists is malformed. With it the gate would look up no list, and would allow every call.
    """
    if None in values:
        return None
    generation, incarnation, lists, changes, terms = (
        value.decode("ascii", "replace") for value in values if value is not None
    )
    if not (_COUNTED.fullmatch(generation) and _COUNTED.fullmatch(changes) and _DIGEST.fullmatch(terms) and lists):
        return None
    return State(int(generation), incarnation, tuple(lists.split(",")), int(changes), terms)


def epoch_ms(moment: datetime) -> int:
    """Return whole milliseconds since 1970 UTC, rounded down, so that rounding never extends an expiry."""
    # Integer arithmetic, because a float of seconds multiplied by 1000 can be one millisecond off.
    return (moment - EPOCH) // _MILLISECOND


def from_epoch_ms(milliseconds: int) -> datetime:
    """Return the aware UTC moment of `milliseconds` since 1970 UTC. Raises ValueError after the year 9999."""
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise ValueError("no such moment") from None
