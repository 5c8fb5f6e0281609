"""Builds a new generation of the projection beside the live one, and then flips to it in one step.

1. Claim: in a turn, record the number of the new generation as being built. It is the highest number that SQL or Redis
   has ever had, plus one. Remove whatever a crash or a restored backup left under that number, and set a mark.
2. Load: write one snapshot of SQL to the new generation. Meanwhile the live one serves calls, and changes are applied
   to it.
3. Catch up: read the subjects of newer outbox rows again from a newer snapshot and write them, until few rows are left.
   Newer rows are those that were neither applied nor pending in the snapshot.
4. Flip: in a turn, so that no other process writes to Redis, catch up once more and compare the counts with SQL. Then
   replace `dnc:state` and remove the mark in one transaction of Redis. Then commit to SQL.
5. After a grace period longer than any decision takes, `sweep.py` removes the keys of earlier generations.

Why no kill lets a listed number through: the gate reads the generation that `dnc:state` names. So it is enough that
this generation holds every number that was reported as in force.

- Killed before the flip: `dnc:state` still names the old generation, to which every change was applied. The new one is
  never named, and the next sweep removes it.
- Killed after the flip, before the commit: `dnc:state` names the new generation, which held everything in SQL at the
  flip. SQL still names the old one, and pending rows are still pending. The next process that takes a turn finds that
  Redis serves the generation that SQL records as being built. That process records the flip in SQL
  (`drain.live_generation`) and continues. The same happens when too few replicas have acknowledged the flip.
- The flip was sent but its reply never came: Redis may execute it late. Redis refuses a late flip if `dnc:state` was
  written since it was watched, or if the mark is gone. Every change writes `dnc:state`, and every sweep removes the
  mark.
- Killed after the commit: old keys remain until the next sweep.
- Redis restarts in between: its run id differs, so the flip is not made. Redis is emptied in between: the mark is gone,
  so the flip is not made.
- Another builder begins in between: it claims a higher number. The turn for the flip finds that number in SQL, so the
  flip is not made.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.terms import terms_on_record
from admin_web.projection import outbox
from admin_web.projection.builder import WRITE_WITHIN_S, Builder
from admin_web.projection.drain import Sides, applied, live_generation
from admin_web.projection.former_states import remove_former_states
from admin_web.projection.history import ensure_mark, next_write, require_own
from admin_web.projection.lease import lease_command
from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.progress import Progress, quiet
from admin_web.projection.rebuild_outcome import (
    Built,
    CountsDiffer,
    NotNeeded,
    RebuildSuperseded,
    RebuildUnderWay,
    RegistriesMoved,
    require_credible,
)
from admin_web.projection.store_settings import require_fit
from admin_web.projection.sweep import discard
from admin_web.projection.truth import may_shrink, registry_versions
from admin_web.projection.turn import Turn, take_turn, update_generations
from admin_web.projection.wire import Command, RedisUnavailable, Wire
from admin_web.projection.writing import terms_commands
from admin_web.record.database import DatabaseUnavailable
from compliance.facts import State
from compliance.redis_schema import REBUILT_AT, Keys, count_field, state_values, version_field
from compliance.redis_terms import terms_digest, terms_value
from compliance.wording import counted, the_list

log = structlog.get_logger()

FEW_ROWS = 20
"""Outbox rows that may be left for the flip. The flip blocks other writers, so few rows should be left."""

MOST_ROUNDS = 50
"""Maximum number of rounds of catching up. The flip then applies the rest, even if many rows are left."""

SILENT_S = 10.0
"""Seconds without a heartbeat after which a builder is considered dead."""


@dataclass(frozen=True, slots=True)
class RebuildOptions:
    """The options of a rebuild.

    `lease_s` is the lease in the settings, in seconds. With `allow_drop` a list may become much smaller. With
    `only_if_lost` nothing is done if Redis holds the projection on record and the registry versions in force, or if
    another builder is at work.
    """

    lease_s: float
    allow_drop: bool = False
    only_if_lost: bool = False


async def rebuild(sides: Sides, options: RebuildOptions, progress: Progress = quiet) -> Built:
    """Build a new generation and make it the live one.

    Raises NotRebuilt, RedisUnavailable, a subclass of either, or DatabaseUnavailable. In these cases the live
    generation is unchanged.
    """
    began = time.monotonic()
    async with sides.store.wire() as wire:
        async with sides.database.read() as session:
            registries = bool(await registry_versions(session))
        await require_fit(wire, registries=registries)
        generation = await _claim(sides, wire, options)
        builder = Builder(sides, wire, generation, progress)
        try:
            await _build(sides, options, wire, builder)
        except asyncio.CancelledError:
            await _give_up(sides, generation)
            raise
        except Exception:
            with suppress(RedisUnavailable):
                await discard(sides.store, generation)
            await _give_up(sides, generation)
            raise
    first = sides.store.keys.first_slot
    shard = {} if first is None else {"shard": first}
    built = Built(generation, dict(builder.counts), time.monotonic() - began)
    log.info("projection rebuilt", **shard, generation=generation, counts=built.counts, seconds=round(built.seconds, 1))
    return built


async def _claim(sides: Sides, wire: Wire, options: RebuildOptions) -> int:
    """Record that a new generation is being built. Returns its number."""
    async with sides.database.write() as session:
        turn = await take_turn(session, sides.row)
        live = await read_live(wire)
        why = await require_own(session, sides.row, live)
        await ensure_mark(session, sides.row, sides.now())
        current = turn.generation if why else await live_generation(session, turn, live, sides.row)
        if options.only_if_lost and not why:
            _require_lost(turn, live, current, sides, await registry_versions(session))
        elif options.only_if_lost:
            _require_alone(turn, sides)
        known = (current, turn.building or 0, live.state.generation if live.state else 0)
        generation = max(known) + 1
        await update_generations(
            session, sides.row, building=generation, building_since_turn=turn.number, building_at=sides.now()
        )
        if live.shard:
            await remove_former_states(session, wire, live)
        return generation


def _require_lost(turn: Turn, live: LiveProjection, current: int, sides: Sides, versions: Mapping[str, int]) -> None:
    if not live.doubt(current) and live.versions == versions:
        raise NotNeeded("Redis already holds the projection on record; nothing was rebuilt")
    _require_alone(turn, sides)


def _require_alone(turn: Turn, sides: Sides) -> None:
    if turn.is_built(sides.now(), silent_s=SILENT_S):
        raise RebuildUnderWay("another rebuild is running; wait until it has finished")


async def _give_up(sides: Sides, generation: int) -> None:
    """Record that nobody builds a generation any more, so that the next builder need not wait for a heartbeat.

    Its number stays on record, so that no later generation gets the same number.
    """
    with suppress(DatabaseUnavailable):
        async with sides.database.write() as session:
            if (await take_turn(session, sides.row)).building == generation:
                await update_generations(session, sides.row, building_at=None)


async def _build(sides: Sides, options: RebuildOptions, wire: Wire, builder: Builder) -> None:
    """Carry out steps 2 to 4."""
    await discard(sides.store, builder.generation)
    await builder.begin()
    await builder.load()
    # The flip holds the turn. So wait for the replicas before it; during it they need to acknowledge only the rest.
    await wire.acknowledged(within_s=WRITE_WITHIN_S)
    for _ in range(MOST_ROUNDS):
        async with sides.database.read() as session:
            if await builder.catch_up(session) <= FEW_ROWS:
                break
    async with sides.database.write() as session:
        await _flip(session, sides, options, wire, builder)


async def _flip(session: AsyncSession, sides: Sides, options: RebuildOptions, wire: Wire, builder: Builder) -> None:
    """Make the new generation the live one, in a turn."""
    turn = await take_turn(session, sides.row)
    if turn.building != builder.generation:
        raise RebuildSuperseded
    await wire.watch(wire.keys.state, wire.keys.build(builder.generation))
    live = await read_live(wire)
    await require_own(session, sides.row, live)
    await builder.require_intact(live)
    async with sides.database.read() as snapshot:
        await builder.catch_up(snapshot)
        standing = await builder.expected_counts(snapshot)
        rows = await _pending_rows(snapshot, live, builder)
        await _require_same_versions(snapshot, builder)
        shrinkable = await may_shrink(snapshot)
        document = terms_value(*await terms_on_record(snapshot, builder.versions))
    _require_equal(builder.counts, standing)
    if not options.allow_drop and not live.had_other_slots:
        require_credible({name: was for name, was in live.counts.items() if name not in shrinkable}, standing)
    written = await next_write(session, sides.row, builder.pending, builder.versions, sides.now())
    fields = written.fields() | {REBUILT_AT: sides.now().isoformat()}
    await wire.transact(_flip_commands(wire.keys, live, builder, standing, document, fields, options.lease_s))
    await wire.acknowledged()
    await outbox.mark_applied(session, _applied(sides, live, builder, rows), turn.number, sides.now())
    await update_generations(session, sides.row, generation=builder.generation, building=None, building_at=None)


async def _pending_rows(session: AsyncSession, live: LiveProjection, builder: Builder) -> list[outbox.OutboxChange]:
    """Read the pending rows for the builder of a shard. Some of them may also concern other shards."""
    if live.shard is None:
        return []
    return [row async for some in outbox.portions(session, builder.pending) for row in some]


def _applied(
    sides: Sides, live: LiveProjection, builder: Builder, rows: Sequence[outbox.OutboxChange]
) -> Collection[int]:
    """Return the ids of the pending rows that, after the acknowledged flip, all their shards have applied."""
    return builder.pending if live.shard is None else applied(sides, live.shard, rows)


async def _require_same_versions(session: AsyncSession, builder: Builder) -> None:
    """Raise RegistriesMoved when the version in force of a registry is not the one that was loaded."""
    if builder.versions != await registry_versions(session):
        raise RegistriesMoved(
            "a new version of a registry came into force during the rebuild; run `dnc-admin rebuild` again"
        )


def _flip_commands(
    keys: Keys,
    live: LiveProjection,
    builder: Builder,
    standing: dict[str, int],
    document: bytes,
    more: Mapping[str, str],
    lease_s: float,
) -> list[Command]:
    generation = builder.generation
    changes = live.state.changes + 1 if live.state else 0
    fields = state_values(State(generation, live.server, tuple(standing), changes, terms_digest(document)))
    fields |= {count_field(name): str(number) for name, number in standing.items()}
    fields |= {version_field(name): str(version) for name, version in builder.versions.items()}
    fields |= dict([live.evictions.field])
    fields |= more
    return [
        ("DEL", keys.state),
        ("HSET", keys.state, *(word for pair in fields.items() for word in pair)),
        *terms_commands(keys, generation, document),
        ("UNLINK", keys.build(generation)),
        lease_command(keys, live.at_ms, lease_s),
    ]


def _require_equal(acknowledged: Mapping[str, int], standing: Mapping[str, int]) -> None:
    for list_name in acknowledged.keys() | standing.keys():
        there, wanted = acknowledged.get(list_name, 0), standing.get(list_name, 0)
        if there != wanted:
            raise CountsDiffer(
                f"Redis acknowledged {counted(there, 'number')} of {the_list(list_name)}, but SQL holds {wanted:,}; "
                "the live projection is unchanged; run `dnc-admin rebuild` again"
            )
