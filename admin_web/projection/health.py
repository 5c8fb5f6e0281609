"""The health of the projection, read from Redis: what Redis holds, when the lease ends, and which gates use it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.store import Store
from admin_web.projection.wire import Reply, Wire, words
from compliance.facts import doubt
from compliance.redis_records import GateHeartbeat, read_heartbeat
from compliance.redis_schema import STATE_FIELDS, from_epoch_ms, read_state
from compliance.redis_terms import terms_digest

MOST_GATES = 100

NEVER_ENDS = -1
NO_LEASE = -2
"""The replies of PTTL for a key that never expires, and for a missing key."""


@dataclass(frozen=True, slots=True)
class GateSeen:
    """A gate process: its name, the time of its last heartbeat (aware UTC), and that heartbeat (None if stale)."""

    name: str
    heard_at: datetime
    beat: GateHeartbeat | None

    @property
    def screens(self) -> bool:
        """Whether the gate is alive and able to allow a call."""
        return self.beat is not None and not self.beat.doubt


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many decisions wait for the archive, the time of the oldest (aware UTC), and how many are unreadable."""

    waiting: int
    since: datetime | None
    unreadable: int


@dataclass(frozen=True, slots=True)
class ProjectionHealth:
    """What Redis holds, and which gates use it.

    `lease_ms` is the rest of the lease in milliseconds, or NEVER_ENDS or NO_LEASE.

    `terms_lost` means that Redis lacks the registries' terms that its state names. `first_slot` is the lowest slot of
    a cluster's shard.
    """

    live: LiveProjection
    lease_ms: int
    backlog: Backlog
    gates: tuple[GateSeen, ...]
    terms_lost: bool
    first_slot: int | None = None


async def lease_left(wire: Wire) -> int:
    """Return the milliseconds that are left of the lease, or NEVER_ENDS or NO_LEASE. Raises RedisUnavailable."""
    (left,) = await wire.ask(("PTTL", wire.keys.lease))
    return left if isinstance(left, int) else NO_LEASE


async def terms_lost(wire: Wire, live: LiveProjection) -> bool:
    """Return whether Redis lacks the registries' terms that `live` names, or holds others. Raises RedisUnavailable.

    Returns False when the state has changed since `live` was read, because the terms and `live` may then belong to
    different states.
    """
    if live.state is None:
        return False
    keys = wire.keys
    document, fields = await wire.ask(("GET", keys.terms(live.state.generation)), ("HMGET", keys.state, *STATE_FIELDS))
    values = fields if isinstance(fields, list) else []
    now = read_state([value if isinstance(value, bytes) else None for value in values]) if values else None
    digest = terms_digest(document) if isinstance(document, bytes) else ""
    still = now is not None and (now.generation, now.terms) == (live.state.generation, live.state.terms)
    return still and digest != live.state.terms


async def health(store: Store) -> list[ProjectionHealth]:
    """Read the health of each shard of a cluster, or of the one Redis. Raises RedisUnavailable."""
    return [await _health(shard) for shard in await store.shards()]


def together(each: Sequence[ProjectionHealth]) -> ProjectionHealth:
    """Merge the health of several shards: the worst state, the shortest lease, all numbers and all gates."""
    if len(each) == 1:
        return each[0]
    worst = next((one.live for one in each if doubt(one.live.state, one.live.server, leased=True)), each[0].live)
    return ProjectionHealth(
        replace(
            worst,
            counts=_added_up([one.live.counts for one in each]),
            version=f"{worst.version}, {len(each)} shards",
            rebuilt_at=min((one.live.rebuilt_at for one in each if one.live.rebuilt_at), default=None),
        ),
        _shortest([one.lease_ms for one in each]),
        _all_backlogs([one.backlog for one in each]),
        tuple(_latest(gate for one in each for gate in one.gates)),
        any(one.terms_lost for one in each),
    )


async def backlog_of(stores: Iterable[Store]) -> Backlog:
    """Return how many decisions wait in Redis for the archive, in all streams together. Raises RedisUnavailable."""
    each = []
    for store in stores:
        async with store.wire() as wire:
            each.append(await _backlog(wire))
    return _all_backlogs(each)


def _all_backlogs(each: Sequence[Backlog]) -> Backlog:
    return Backlog(
        sum(one.waiting for one in each),
        min((one.since for one in each if one.since), default=None),
        sum(one.unreadable for one in each),
    )


def _added_up(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for one in counts for name in one)
    return {name: sum(one.get(name, 0) for one in counts) for name in names}


def _shortest(leases: Sequence[int]) -> int:
    ending = [left for left in leases if left != NEVER_ENDS]
    return min(ending, default=NEVER_ENDS)


def _latest(gates: Iterable[GateSeen]) -> Iterator[GateSeen]:
    """Return each gate once, with its latest heartbeat. A gate writes heartbeats to every shard."""
    latest: dict[str, GateSeen] = {}
    for gate in sorted(gates, key=lambda gate: gate.heard_at):
        latest[gate.name] = gate
    return reversed(latest.values())


async def _health(store: Store) -> ProjectionHealth:
    async with store.wire() as wire:
        live = await read_live(wire)
        lost, lease_ms = await terms_lost(wire, live), await lease_left(wire)
        gates = tuple(await _gates(wire))
        return ProjectionHealth(live, lease_ms, await _backlog(wire), gates, lost, wire.keys.first_slot)


async def _backlog(wire: Wire) -> Backlog:
    waiting, oldest, unreadable = await wire.ask(
        ("XLEN", wire.keys.decisions),
        ("XRANGE", wire.keys.decisions, "-", "+", "COUNT", 1),
        ("XLEN", wire.keys.unreadable_decisions),
    )
    return Backlog(_count(waiting), _entered_at(oldest), _count(unreadable))


def _count(reply: Reply) -> int:
    return reply if isinstance(reply, int) else 0


def _entered_at(entries: Reply) -> datetime | None:
    """Return when the first of some stream entries was appended.

    The id of an entry begins with Redis's time in milliseconds.
    """
    match entries:
        case [[bytes() as entry_id, *_], *_]:
            return from_epoch_ms(int(entry_id.partition(b"-")[0]))
    return None


async def _gates(wire: Wire) -> list[GateSeen]:
    """Return the gates with a heartbeat within the last hour, the latest first."""
    (named,) = await wire.ask(("ZREVRANGE", wire.keys.gates, 0, MOST_GATES - 1, "WITHSCORES"))
    flat = words(named)
    names = [name.decode("utf-8", "replace") for name in flat[::2]]
    beats = await wire.ask(*(("GET", wire.keys.gate(name)) for name in names))
    return list(_seen(names, flat[1::2], beats))


def _seen(names: list[str], scores: list[bytes], beats: list[Reply]) -> Iterator[GateSeen]:
    for name, score, value in zip(names, scores, beats, strict=True):
        yield GateSeen(name, from_epoch_ms(int(float(score))), _beat(value))


def _beat(value: Reply) -> GateHeartbeat | None:
    try:
        return read_heartbeat(value) if isinstance(value, bytes) else None
    except ValueError:
        return None
