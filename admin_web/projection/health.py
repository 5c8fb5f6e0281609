"""How the projection does at this moment, as Redis tells it: what it holds, for how long, and who asks it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from admin_web.projection.live import Live, look
from admin_web.projection.store import Reply, Store, Wire, words
from compliance.redis_schema import (
    DECISIONS,
    GATES,
    LEASE,
    STATE,
    STATE_FIELDS,
    UNREADABLE_DECISIONS,
    GateBeat,
    from_epoch_ms,
    gate_key,
    read_beat,
    read_state,
    terms_digest,
    terms_key,
)

MOST_GATES = 100

NEVER_ENDS = -1
NO_LEASE = -2
"""What PTTL says of a key without an end, and of none."""


@dataclass(frozen=True, slots=True)
class GateSeen:
    """A gate process: its name, when it was last heard of (aware UTC), and what it said; None when it is silent."""

    name: str
    heard_at: datetime
    beat: GateBeat | None

    @property
    def screens(self) -> bool:
        """Tell whether it lives and could allow a call."""
        return self.beat is not None and not self.beat.doubt


@dataclass(frozen=True, slots=True)
class Backlog:
    """Decisions that wait to be archived, the oldest since `since` (aware UTC), and those that cannot be."""

    waiting: int
    since: datetime | None
    unreadable: int


@dataclass(frozen=True, slots=True)
class Health:
    """What Redis holds and who asks it. `lease_ms` is what is left of the lease, or one of PTTL's two words.

    `terms_lost`: it does not hold the terms of the registries that its state names.
    """

    live: Live
    lease_ms: int
    backlog: Backlog
    gates: tuple[GateSeen, ...]
    terms_lost: bool


async def lease_left(wire: Wire) -> int:
    """Give the milliseconds that are left of the lease, or NEVER_ENDS, or NO_LEASE. Raises StoreUnavailable."""
    (left,) = await wire.ask(("PTTL", LEASE))
    return left if isinstance(left, int) else NO_LEASE


async def terms_lost(wire: Wire, live: Live) -> bool:
    """Tell whether Redis lacks the terms of the registries that `live` names, or holds others. Raises StoreUnavailable.

    While the state moves that is not known, and not said.
    """
    if live.state is None:
        return False
    document, fields = await wire.ask(("GET", terms_key(live.state.generation)), ("HMGET", STATE, *STATE_FIELDS))
    values = fields if isinstance(fields, list) else []
    now = read_state([value if isinstance(value, bytes) else None for value in values]) if values else None
    digest = terms_digest(document) if isinstance(document, bytes) else ""
    still = now is not None and (now.generation, now.terms) == (live.state.generation, live.state.terms)
    return still and digest != live.state.terms


async def health(store: Store) -> Health:
    """Ask Redis for all of it. Raises StoreUnavailable."""
    async with store.wire() as wire:
        live = await look(wire)
        lost = await terms_lost(wire, live)
        return Health(live, await lease_left(wire), await _backlog(wire), tuple(await _gates(wire)), lost)


async def _backlog(wire: Wire) -> Backlog:
    waiting, oldest, unreadable = await wire.ask(
        ("XLEN", DECISIONS), ("XRANGE", DECISIONS, "-", "+", "COUNT", 1), ("XLEN", UNREADABLE_DECISIONS)
    )
    return Backlog(_count(waiting), _entered_at(oldest), _count(unreadable))


def _count(reply: Reply) -> int:
    return reply if isinstance(reply, int) else 0


def _entered_at(entries: Reply) -> datetime | None:
    """Read when the first of some stream entries was appended: its id begins with Redis's milliseconds."""
    match entries:
        case [[bytes() as entry_id, *_], *_]:
            return from_epoch_ms(int(entry_id.partition(b"-")[0]))
    return None


async def _gates(wire: Wire) -> list[GateSeen]:
    """Give the gates heard of within the hour, the latest first."""
    (named,) = await wire.ask(("ZREVRANGE", GATES, 0, MOST_GATES - 1, "WITHSCORES"))
    flat = words(named)
    names = [name.decode("utf-8", "replace") for name in flat[::2]]
    beats = await wire.ask(*(("GET", gate_key(name)) for name in names))
    return list(_seen(names, flat[1::2], beats))


def _seen(names: list[str], scores: list[bytes], beats: list[Reply]) -> Iterator[GateSeen]:
    for name, score, value in zip(names, scores, beats, strict=True):
        yield GateSeen(name, from_epoch_ms(int(float(score))), _beat(value))


def _beat(value: Reply) -> GateBeat | None:
    try:
        return read_beat(value) if isinstance(value, bytes) else None
    except ValueError:
        return None
