"""What Redis reports about itself: its identity, and the projection that it holds."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from admin_web.projection.eviction import (
    HAS_EVICTED,
    MAY_EVICT,
    NONE_YET,
    Evictions,
    read_evictions,
    recorded_evictions,
)
from admin_web.projection.incarnation import RESTARTED, had_other_slots, what_happened
from admin_web.projection.marks import NOTHING, OLDER, RECOVERED, Written, read_written
from admin_web.projection.wire import Command, RedisUnavailable, Reply, Wire, on_shard, words
from compliance.cluster import NotACluster, Shard, read_nodes
from compliance.facts import State, doubt
from compliance.redis_masters import Master
from compliance.redis_schema import (
    REBUILT_AT,
    STATE_FIELDS,
    from_epoch_ms,
    read_counts,
    read_state,
    read_versions,
)

_LOST = {
    "no-state": "Redis holds no projection{where}",
    "other-incarnation": "{happened} since the projection was verified{where}",
    "other-generation": "Redis holds another generation than the one on record{where}",
    HAS_EVICTED: "Redis has evicted keys since the projection was built{where}",
    OLDER: "Redis holds an earlier state of the projection than the one on record{where}",
    RECOVERED: "Redis holds the projection of another history of the database, and what it blocked is recovered{where}",
}
_CURE = "; the worker rebuilds it, and you can also run `dnc-admin rebuild`"


class ProjectionLost(RedisUnavailable):
    """Redis answers, but does not hold the projection on record, so no changes may be applied to it.

    `why` is the reason's slug, and `happened` says what happened to the server: see `incarnation.what_happened`.
    `where` names the shard.
    """

    def __init__(self, why: str, happened: str = RESTARTED, where: str = "") -> None:
        super().__init__(_LOST[why].format(happened=happened, where=where) + _CURE)
        self.why = why
        self.public = str(self).partition(";")[0]


class ForeignHistory(RedisUnavailable):
    """Redis was built from another database than this one, or from a history that this one has lost.

    A rebuild would lose what Redis alone blocks, so it is refused until that is recovered.
    """

    def __init__(self, mark: str) -> None:
        super().__init__(
            "Redis was built from another database, or from changes that this database has lost since, as after the "
            f"restore of a backup (mark {mark or 'none'}); calls are stopped until the worker has recovered what "
            "Redis alone blocks"
        )
        self.public = str(self)


class NotRecoverable(RedisUnavailable):
    """Redis no longer shows all that it blocked, so nothing is recovered and calls stay stopped until a person acts."""

    public = "Redis no longer shows all that it blocked"


class SlotsLeft(NotRecoverable):
    """Slots have moved since Redis was built. Their new shard does not tell their numbers from those of old builds."""

    def __init__(self, mark: str, first_slot: int | None) -> None:
        super().__init__(
            f"slots of the cluster have moved since Redis was built{on_shard(first_slot)}, so what it blocked there "
            "cannot be recovered; calls are stopped until you move the slots back, or list the missing numbers and run "
            f"`dnc-admin rebuild --discard {mark or 'none'}`, which recovers no number"
        )
        self.public = str(self).partition("; ")[0]


class StoreUnfit(RedisUnavailable):
    """Redis is configured so that it may lose listed numbers or waste memory; the message names the setting."""

    public = "Redis is not set up for dnc-gate"

    @classmethod
    def by_policy(cls, policy: str) -> Self:
        """Return the error for a policy under which Redis may evict sets."""
        return cls(f"Redis may evict listed numbers: set its maxmemory-policy to noeviction, not {policy}")


@dataclass(frozen=True, slots=True)
class LiveProjection:
    """The projection that Redis holds.

    `server` is the run id of the process. Behind Sentinel and in a cluster it also includes the server's reign as
    master. `counts` are the numbers per list, `versions` the registries' versions. `at_ms` is the time by Redis's
    clock, in milliseconds since 1970 UTC; `rebuilt_at` is aware UTC. `version` is the name and version of the server.
    `shard` is set in a cluster. `complete_at` are the evictions at the last moment at which the projection was known to
    be complete, `evictions` those until now.
    `written` identifies the last write.
    """

    server: str
    state: State | None
    at_ms: int
    counts: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    rebuilt_at: datetime | None = None
    version: str = ""
    shard: Shard | None = None
    evictions: Evictions = NONE_YET
    complete_at: Evictions = NONE_YET
    written: Written = NOTHING

    def earlier(self, at: datetime) -> datetime:
        """Return `at`, or the time by Redis's clock if that is earlier.

        A program whose clock is fast would otherwise leave out overrides that are live. Redis itself removes one that
        has ended.
        """
        return min(at, from_epoch_ms(self.at_ms))

    @property
    def had_other_slots(self) -> bool:
        """Whether the shard now owns different slots than those for which the projection was built."""
        built_for = self.state.incarnation if self.state else ""
        return self.shard is not None and had_other_slots(built_for, self.server)

    def doubt(self, generation: int) -> str:
        """Return "" if this is `generation`, complete, and built on this server; otherwise the reason's slug."""
        why = doubt(self.state, self.server, leased=True)
        other = self.state is not None and self.state.generation != generation
        return why or ("other-generation" if other else "") or self._evicting

    @property
    def _evicting(self) -> str:
        """Return "" unless Redis may evict sets now, or may have evicted some of this projection."""
        if self.evictions.may_take_sets:
            return MAY_EVICT
        return "" if self.evictions.spared(self.complete_at) else HAS_EVICTED

    def trouble(self, why: str) -> RedisUnavailable:
        """Return the error that explains a reason of `doubt`."""
        return StoreUnfit.by_policy(self.evictions.policy) if why == MAY_EVICT else self.lost(why)

    def require(self, generation: int) -> State:
        """Return the state. Raises ProjectionLost unless it is `generation`, complete, and built on this server.

        Raises StoreUnfit while Redis may evict listed numbers.
        """
        why = self.doubt(generation)
        if why or self.state is None:
            raise self.trouble(why or "no-state")
        return self.state

    def lost(self, why: str) -> "ProjectionLost":
        """Return the error for a reason's slug."""
        built_for = self.state.incarnation if self.state else ""
        where = on_shard(self.shard.first if self.shard else None)
        return ProjectionLost(why, what_happened(built_for, self.server), where)


async def read_live(wire: Wire) -> LiveProjection:
    """Read the identity and the state of Redis. Raises RedisUnavailable."""
    cluster = [("CLUSTER", "NODES")] if wire.to_shard else []
    about: list[Command] = [("INFO", "server"), ("INFO", "memory"), ("INFO", "stats")]
    info, memory, stats, values, clock, *nodes = await wire.ask(
        *about, ("HGETALL", wire.keys.state), ("TIME",), *cluster
    )
    shard = _shard(nodes[0], wire.keys.first_slot) if nodes else None
    master = Master("", shard.reign) if shard else wire.master
    flat = words(values)
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    seconds, micros = (int(word) for word in words(clock))
    return LiveProjection(
        master.incarnation(field_of(info, "run_id")),
        read_state([fields.get(name.encode()) for name in STATE_FIELDS]),
        seconds * 1000 + micros // 1000,
        read_counts(fields),
        read_versions(fields),
        _moment(fields.get(REBUILT_AT.encode(), b"")),
        _version(info),
        shard,
        read_evictions(_fields(memory), _fields(stats)),
        recorded_evictions(fields),
        read_written(fields),
    )


def _shard(nodes: Reply, first_slot: int | None) -> Shard:
    """Parse the line in which a master describes itself in its reply to CLUSTER NODES.

    Raises RedisUnavailable unless its lowest slot is `first_slot`.

    The keys of a shard's state contain its lowest slot. A master whose lowest slot differs has no state under these
    keys.
    """
    try:
        myself = read_nodes(nodes if isinstance(nodes, bytes) else b"", "itself:0").myself
    except NotACluster as error:
        raise RedisUnavailable(f"Redis does not describe its cluster: {error}") from None
    if myself is None or myself.first != first_slot:
        raise RedisUnavailable(f"the slots{on_shard(first_slot)} have moved to another shard")
    return myself


def field_of(info: Reply, name: str) -> str:
    """Return one field of an INFO reply. Raises RedisUnavailable."""
    if value := _fields(info).get(name):
        return value
    raise RedisUnavailable(f"Redis does not report its {name}")


def _fields(info: Reply) -> dict[str, str]:
    text = info.decode("utf-8", "replace") if isinstance(info, bytes) else ""
    return {key: value for key, _, value in (line.partition(":") for line in text.splitlines())}


def _version(info: Reply) -> str:
    """Return the server's name and version.

    Valkey reports its own version, and also the version of the Redis that it is compatible with.
    """
    fields = _fields(info)
    own = fields.get("valkey_version")
    return f"Valkey {own}" if own else f"Redis {fields.get('redis_version', 'of an unknown version')}"


def _moment(text: bytes) -> datetime | None:
    try:
        return datetime.fromisoformat(text.decode("ascii"))
    except ValueError:
        return None
