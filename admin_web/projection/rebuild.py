"""The projection built anew beside the live one, and put in its place without a moment in between.

1. claim: a turn puts the new generation's number on record as being built; the highest that SQL or Redis has ever
   known, plus one. What a lost database backup or a crash left under that number is taken out; a mark is set.
2. load: one snapshot of SQL is written to the new generation. The live one serves, and takes changes, meanwhile.
3. catch up: the subjects of every outbox row that the snapshot did not show as applied or pending are read again from
   a newer snapshot and written, until little is left.
4. flip: in a turn, so that nobody writes to Redis: catch up once more, compare the counts with SQL, and put the new
   `dnc:state` in place in one transaction of Redis, which also takes the mark away. Then commit to SQL.
After that, and after a grace longer than any decision takes, what is left of earlier generations may go: `sweep.py`.

Why no kill lets a listed number through. The gate asks the generation that `dnc:state` names, so all that matters is
that this generation holds every number that was reported as in force.

- Killed before the flip: `dnc:state` still names the old generation, which has taken every change meanwhile. The new
  one is never named; the next sweep takes it out.
- Killed after the flip, before the commit: `dnc:state` names the new generation, which held the whole truth of SQL at
  the flip. SQL still names the old one. Rows that were pending are still pending. Whoever takes the next turn finds
  Redis serving the generation that SQL has as being built, puts that on record (`drain.live_generation`), and goes on.
  The same holds when too few replicas have acknowledged the flip.
- The flip was sent and given up for lost: it may be carried out late. It is refused by Redis if anybody has written
  to `dnc:state` since it was watched, or taken away the mark: each change does the former, each sweep the latter.
- Killed after the commit: old keys are left; the next sweep takes them out.
- Redis restarts meanwhile: its run id is another one, and the flip is not made. Redis is emptied meanwhile: the mark
  is gone, and the flip is not made.
- Another builder begins meanwhile: it claims a higher number, and the turn for the flip finds that number on record.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.terms import terms_on_record
from admin_web.projection import outbox
from admin_web.projection.builder import SUPERSEDED, WRITE_WITHIN_S, Builder, NotRebuilt, Progress, RebuildSuperseded
from admin_web.projection.drain import Sides, applied, live_generation
from admin_web.projection.lease import spell_lease
from admin_web.projection.live import LiveProjection, look, require_fit
from admin_web.projection.store import Command, RedisUnavailable, Wire
from admin_web.projection.sweep import discard
from admin_web.projection.truth import may_shrink, registry_versions
from admin_web.projection.turn import Turn, first_slots, note, take_turn
from admin_web.projection.writing import spell_terms
from admin_web.record.database import DatabaseUnavailable
from compliance.cluster import Shard
from compliance.facts import State
from compliance.redis_schema import REBUILT_AT, Keys, count_field, state_values, version_field
from compliance.redis_terms import terms_digest, terms_value

log = structlog.get_logger()

FEW_ROWS = 20
"""Outbox rows that may be left for the flip, while nobody else writes to Redis."""

MOST_ROUNDS = 50
"""How often it is tried to catch up so far before the flip takes what is left, however much."""

SILENT_S = 10.0
"""A builder that was not heard of for so long is taken for dead."""

FEW_NUMBERS = 100
SMALL_SHARE = 0.1
"""A list that would lose more than this many numbers and more than this share of them is not believed."""


class SuspiciousDrop(NotRebuilt):
    """SQL holds so many fewer numbers than Redis that it may be the wrong database, or a part of one.

    `fact` is what would happen, without the cure for people at a shell.
    """

    def __init__(self, list_name: str, was: int, standing: int) -> None:
        self.fact = f"the {list_name} list would shrink from {was:,} to {standing:,} numbers"
        super().__init__(
            f"{self.fact}; check DNC_DATABASE_URL, and if that is right, run `dnc-admin rebuild --allow-drop`"
        )


class CountsDiffer(NotRebuilt):
    """Redis has acknowledged another number of numbers than SQL holds."""


class RegistriesMoved(NotRebuilt):
    """A registry's new version came into force by the record while the one before was being loaded."""


class RebuildUnderWay(NotRebuilt):
    """Another builder was heard of a moment ago."""


class NotNeeded(NotRebuilt):
    """Redis holds the projection that is on record."""


@dataclass(frozen=True, slots=True)
class Built:
    """A finished rebuild: the generation that is live now, its numbers per list, and how long it took, in seconds."""

    generation: int
    counts: dict[str, int]
    seconds: float


def all_built(each: Sequence[Built]) -> Built:
    """Add up what was built on several shards, one after the other."""
    names = dict.fromkeys(name for one in each for name in one.counts)
    counts = {name: sum(one.counts.get(name, 0) for one in each) for name in names}
    return Built(max(one.generation for one in each), counts, sum(one.seconds for one in each))


@dataclass(frozen=True, slots=True)
class RebuildOptions:
    """On which terms a rebuild is made.

    `lease_s` as in the settings; `allow_drop` takes SQL's word for a much smaller list; `only_if_lost` leaves alone
    what is whole and holds the registries' versions in force, and a builder that is at work.
    """

    lease_s: float
    allow_drop: bool = False
    only_if_lost: bool = False


def quiet(phase: str, done: int, total: int) -> None:
    """Tell nobody."""
    del phase, done, total


async def rebuild(sides: Sides, terms: RebuildOptions, progress: Progress = quiet) -> Built:
    """Build the projection anew and put it in place.

    Raises NotRebuilt or one of its kinds, RedisUnavailable or one of its kinds, DatabaseUnavailable; the live
    generation then stays as it is.
    """
    began = time.monotonic()
    async with sides.store.wire() as wire:
        await require_fit(wire)
        generation = await _claim(sides, wire, terms)
        builder = Builder(sides, wire, generation, progress)
        try:
            await _build(sides, terms, wire, builder)
        except Exception:
            await _give_up(sides, generation)
            raise
    built = Built(generation, dict(builder.counts), time.monotonic() - began)
    log.info("projection rebuilt", generation=generation, counts=built.counts, seconds=round(built.seconds, 1))
    return built


async def _claim(sides: Sides, wire: Wire, terms: RebuildOptions) -> int:
    """Put on record that a new generation is being built, and give its number."""
    async with sides.database.write() as session:
        turn = await take_turn(session, sides.row)
        live = await look(wire)
        current = await live_generation(session, turn, live, sides.row)
        if terms.only_if_lost:
            _require_lost(turn, live, current, sides, await registry_versions(session))
        known = (current, turn.building or 0, live.state.generation if live.state else 0)
        generation = max(known) + 1
        at = sides.now()
        await note(session, sides.row, building=generation, building_since_turn=turn.number, building_at=at)
        if live.shard:
            await _forget_other_names(wire, live.shard, await first_slots(session))
        return generation


async def _forget_other_names(wire: Wire, shard: Shard, first_slots: Sequence[int]) -> None:
    """Take away the states that this very server has under the names of slots that were its lowest once.

    A gate that has not heard that the slots have moved could still believe them, though nobody keeps them current.
    """
    names = [Keys(slot) for slot in first_slots if slot != shard.first and shard.owns(slot)]
    await wire.unlink([key for keys in names for key in (keys.state, keys.lease)])


def _require_lost(turn: Turn, live: LiveProjection, current: int, sides: Sides, versions: Mapping[str, int]) -> None:
    if not live.doubt(current) and live.versions == versions:
        raise NotNeeded("Redis holds the projection that is on record")
    if turn.is_built(sides.now(), silent_s=SILENT_S):
        raise RebuildUnderWay("another rebuild is under way")


async def _give_up(sides: Sides, generation: int) -> None:
    """Leave as little as possible behind. The number stays on record, so that it is not used again."""
    with suppress(RedisUnavailable):
        await discard(sides.store, generation)
    with suppress(DatabaseUnavailable):
        async with sides.database.write() as session:
            if (await take_turn(session, sides.row)).building == generation:
                await note(session, sides.row, building_at=None)


async def _build(sides: Sides, terms: RebuildOptions, wire: Wire, builder: Builder) -> None:
    """Carry out steps 2 to 4."""
    await discard(sides.store, builder.generation)
    await builder.begin()
    await builder.load()
    await wire.acknowledged(within_s=WRITE_WITHIN_S)  # Most of it, so that the flip need not wait for it in its turn.
    for _ in range(MOST_ROUNDS):
        async with sides.database.read() as session:
            if await builder.catch_up(session) <= FEW_ROWS:
                break
    async with sides.database.write() as session:
        await _flip(session, sides, terms, wire, builder)


async def _flip(session: AsyncSession, sides: Sides, terms: RebuildOptions, wire: Wire, builder: Builder) -> None:
    """Put the new generation in the place of the live one, in a turn."""
    turn = await take_turn(session, sides.row)
    if turn.building != builder.generation:
        raise RebuildSuperseded(SUPERSEDED)
    await wire.watch(wire.keys.state, wire.keys.build(builder.generation))
    live = await look(wire)
    await builder.require_whole(live)
    async with sides.database.read() as snapshot:
        await builder.catch_up(snapshot)
        standing = await builder.standing(snapshot)
        rows = await _pending_rows(snapshot, live, builder)
        await _require_same_versions(snapshot, builder)
        let = await may_shrink(snapshot)
        document = terms_value(await terms_on_record(snapshot, builder.versions))
    _require_equal(builder.counts, standing)
    if not terms.allow_drop and not live.had_other_slots:
        require_credible({name: was for name, was in live.counts.items() if name not in let}, standing)
    await wire.transact(_spell_flip(wire.keys, live, builder, standing, document, sides, terms.lease_s))
    await wire.acknowledged()
    await outbox.mark_applied(session, _applied(sides, live, builder, rows), turn.number, sides.now())
    await note(session, sides.row, generation=builder.generation, building=None, building_at=None)


async def _pending_rows(session: AsyncSession, live: LiveProjection, builder: Builder) -> list[outbox.OutboxChange]:
    """Read what is pending, for a builder of one shard: some of it may be about others too."""
    if live.shard is None:
        return []
    return [row async for some in outbox.portions(session, builder.pending) for row in some]


def _applied(
    sides: Sides, live: LiveProjection, builder: Builder, rows: Sequence[outbox.OutboxChange]
) -> Collection[int]:
    """Give the ids of what was pending and is applied everywhere, now that the flip is acknowledged."""
    return builder.pending if live.shard is None else applied(sides, live.shard, rows)


async def _require_same_versions(session: AsyncSession, builder: Builder) -> None:
    """Raise RegistriesMoved when a registry has another version in force now than the one that was loaded."""
    if builder.versions != await registry_versions(session):
        raise RegistriesMoved("a new version of a registry came into force meanwhile")


def _spell_flip(
    keys: Keys,
    live: LiveProjection,
    builder: Builder,
    standing: dict[str, int],
    document: bytes,
    sides: Sides,
    lease_s: float,
) -> list[Command]:
    generation = builder.generation
    changes = live.state.changes + 1 if live.state else 0
    fields = state_values(State(generation, live.server, tuple(standing), changes, terms_digest(document)))
    fields |= {count_field(name): str(number) for name, number in standing.items()}
    fields |= {version_field(name): str(version) for name, version in builder.versions.items()}
    fields[REBUILT_AT] = sides.now().isoformat()
    return [
        ("DEL", keys.state),
        ("HSET", keys.state, *(word for pair in fields.items() for word in pair)),
        *spell_terms(keys, generation, document),
        ("UNLINK", keys.build(generation)),
        spell_lease(keys, live.at_ms, lease_s),
    ]


def _require_equal(acknowledged: Mapping[str, int], standing: Mapping[str, int]) -> None:
    for list_name in acknowledged.keys() | standing.keys():
        there, wanted = acknowledged.get(list_name, 0), standing.get(list_name, 0)
        if there != wanted:
            raise CountsDiffer(f"Redis took {there:,} numbers of the {list_name} list, and SQL holds {wanted:,}")


def require_credible(live: Mapping[str, int], standing: Mapping[str, int]) -> None:
    """Raise SuspiciousDrop when a list of SQL (`standing`) is much smaller than it is in Redis (`live`)."""
    for list_name, was in live.items():
        lost = was - standing.get(list_name, 0)
        if lost > FEW_NUMBERS and lost > was * SMALL_SHARE:
            raise SuspiciousDrop(list_name, was, was - lost)
