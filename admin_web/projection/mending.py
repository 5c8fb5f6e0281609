"""Repair of what differs between SQL and Redis, in the turn that proves the difference.

A listed number that Redis lacks can be called at this moment. So it is written at once, and not by a rebuild, which
takes minutes for a large registry.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection import drift, outbox
from admin_web.projection.compare import Difference, compare, subjects_of
from admin_web.projection.drain import Sides, writable
from admin_web.projection.history import next_write
from admin_web.projection.live import LiveProjection
from admin_web.projection.truth import counts_of, own_counts, truth_of
from admin_web.projection.turn import take_turn
from admin_web.projection.verify import ProjectionMoved
from admin_web.projection.wire import RedisUnavailable, Wire
from admin_web.projection.writing import ExchangePart, change_live, mark_command
from admin_web.record.changes import Actor, change_within
from compliance.facts import State
from compliance.redis_schema import CHANGES, count_field, exchange_and_line

WORKER = Actor("system:worker")

MOST_MENDED = 1_000
"""Maximum number of differences of one comparison that are mended one by one."""


class WidelyDrifted(RedisUnavailable):
    """So much differs that only a rebuild helps. `kinds` counts the differences by kind. Calls must stop meanwhile."""

    def __init__(self, kinds: Mapping[str, int]) -> None:
        super().__init__("Redis does not hold what SQL holds, so calls are stopped until it is rebuilt")
        self.public, self.kinds = str(self), kinds


async def settle(sides: Sides, wire: Wire, generation: int, suspects: Sequence[Difference]) -> list[Difference]:
    """Compare suspects again in a turn, and write those that still differ and have no pending change as SQL has them.

    Returns these. Raises WidelyDrifted, and writes nothing, if they are more than MOST_MENDED.
    """
    if not suspects:
        return []
    async with sides.database.write() as session:
        live, state = await _begin(session, sides, wire, generation)
        subjects, at = subjects_of(list(suspects)), live.earlier(sides.now())
        async for rows in outbox.portions(session, await outbox.pending_ids(session)):
            subjects.remove(outbox.subjects_of(rows))
        found = await compare(wire, generation, await truth_of(session, subjects, at), at)
        _require_few(found)
        if found:
            truth = await truth_of(session, subjects_of(found), at)
            written = await next_write(session, sides.row, (), live.versions, sides.now())
            await change_live(wire, state, truth, written, counted=True)
            await _acknowledged(session, sides, wire, generation, found)
    return found


async def settle_registry(
    sides: Sides, wire: Wire, live: LiveProjection, found: Sequence[Difference]
) -> Sequence[Difference]:
    """Write numbers of registries as SQL has them. Only a rebuild changes these sets, so no change is pending.

    Returns the differences. Raises WidelyDrifted, and writes nothing, if they are more than MOST_MENDED.
    """
    _require_few(found)
    if found:
        generation = live.state.generation if live.state else 0
        async with sides.database.write() as session:
            now, _ = await _begin(session, sides, wire, generation)
            if now.versions != live.versions:
                raise ProjectionMoved
            parts = [part.command(generation) for part in _parts(found)]
            written = await next_write(session, sides.row, (), now.versions, sides.now())
            counted = "HINCRBY", wire.keys.state, CHANGES, 1
            await wire.transact([*parts, counted, mark_command(wire.keys, written)])
            await _acknowledged(session, sides, wire, generation, found)
    return found


async def settle_counts(sides: Sides, wire: Wire, generation: int) -> dict[str, tuple[int, int]]:
    """Set the counts in `dnc:state` as SQL has them, once all members are compared. Returns those that differed.

    Nothing is done while changes are pending: the counts differ by these.
    """
    async with sides.database.write() as session:
        live, _ = await _begin(session, sides, wire, generation)
        if await outbox.pending_ids(session):
            return {}
        own = await own_numbers(session, live)
        wrong = {
            name: (live.counts.get(name, 0), number)
            for name, number in own.items()
            if live.counts.get(name, 0) != number
        }
        if wrong:
            fields = [word for name in wrong for word in (count_field(name), str(own[name]))]
            written = await next_write(session, sides.row, (), live.versions, sides.now())
            await wire.transact([("HSET", wire.keys.state, *fields), mark_command(wire.keys, written)])
            await wire.acknowledged()
    return wrong


async def own_numbers(session: AsyncSession, live: LiveProjection) -> dict[str, int]:
    """Return how many numbers SQL has on each of the company's own lists, for one Redis or shard."""
    return await own_counts(session) if live.shard is None else await counts_of(session, live.shard)


async def _begin(session: AsyncSession, sides: Sides, wire: Wire, generation: int) -> tuple[LiveProjection, State]:
    """Take a turn, and return what may be written to. Raises ProjectionMoved unless `generation` is live."""
    live, state = await writable(session, sides, wire, await take_turn(session, sides.row))
    if state.generation != generation:
        raise ProjectionMoved
    return live, state


async def _acknowledged(
    session: AsyncSession, sides: Sides, wire: Wire, generation: int, found: Sequence[Difference]
) -> None:
    """Wait for the replicas, and record the repair."""
    await wire.acknowledged()
    kinds = by_kind(found)
    async with change_within(session, WORKER, sides.now()) as change:
        said = "; ".join(f"{many} {kind}" for kind, many in sorted(kinds.items()))
        some = ", ".join(str(one) for one in found[: drift.EXAMPLES])
        change.audit("mend-drift", "projection", generation, found=said, some=some)


def by_kind(found: Iterable[Difference]) -> dict[str, int]:
    """Count differences by their kind."""
    return dict(Counter(one.kind for one in found))


def _require_few(found: Sequence[Difference]) -> None:
    if len(found) > MOST_MENDED:
        raise WidelyDrifted(by_kind(found))


def _parts(found: Iterable[Difference]) -> Iterator[ExchangePart]:
    for one in found:
        exchange, line = exchange_and_line(one.number)
        yield ExchangePart(one.list_name or "", exchange, one.kind == drift.MISSING, [line])
