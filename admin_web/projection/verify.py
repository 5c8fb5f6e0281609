"""Comparison of SQL and Redis in both directions, in constant memory, while changes go on.

Subjects that seem to differ are compared again in a turn, when no other process writes to Redis. Subjects that still
differ then, and have no pending change, are drift. So there are no false alarms, and changes wait only during this
second comparison.
"""

from collections.abc import Collection
from contextlib import aclosing

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.terms import terms_on_record
from admin_web.projection import drift, outbox
from admin_web.projection.compare import Difference, compare, subjects_of, unmarked
from admin_web.projection.contents import in_redis, in_sql
from admin_web.projection.drain import Sides
from admin_web.projection.drift import Drift
from admin_web.projection.following import behind
from admin_web.projection.history import doubt_seen
from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.progress import Progress
from admin_web.projection.registry_check import RegistryCheck
from admin_web.projection.truth import counts, counts_of, own_counts, truth_of
from admin_web.projection.turn import last_turn, take_turn
from admin_web.projection.wire import RedisUnavailable, Wire
from compliance.cluster import Shard
from compliance.redis_terms import terms_digest, terms_value

MOST_TRIES = 5
"""Maximum number of attempts at a comparison. A rebuild that ends during an attempt interrupts the attempt."""


class ProjectionMoved(RedisUnavailable):
    """A rebuild has replaced the generation that was being compared."""

    public = "rebuilds interrupted each comparison"

    def __init__(self) -> None:
        super().__init__("rebuilds interrupted each comparison; run `dnc-admin verify` again when they are finished")


async def verify(sides: Sides, progress: Progress) -> Drift:
    """Compare everything. Raises RedisUnavailable or a subclass, DatabaseUnavailable."""
    async with sides.store.wire() as wire:
        for _ in range(MOST_TRIES - 1):
            try:
                return await _Comparison(sides, wire, progress).run()
            except ProjectionMoved:
                continue
        return await _Comparison(sides, wire, progress).run()


class _Comparison:
    """One comparison of everything with one generation."""

    def __init__(self, sides: Sides, wire: Wire, progress: Progress) -> None:
        self._sides, self._wire, self._progress = sides, wire, progress
        self._drift = Drift(shard=wire.keys.first_slot)
        self._shard: Shard | None = None
        self._listed: dict[str, int] = {}

    async def run(self) -> Drift:
        """Compare in both directions. Raises ProjectionMoved."""
        live = await self._judge_state()
        if self._drift.generation:
            await self._compare_registries(live)
            await self._find_unmarked(live)
            await self._find_missing()
            await self._find_extra(live.versions)
            await self._judge_counts()
        else:
            await self._count_recorded()
        return self._drift

    async def _judge_state(self) -> LiveProjection:
        live = await read_live(self._wire)
        (leased,) = await self._wire.ask(("EXISTS", self._wire.keys.lease))
        async with self._sides.database.read() as session:
            why = await doubt_seen(session, self._sides.row, live, await last_turn(session, self._sides.row))
        self._shard = live.shard
        self._drift.doubt = why or ("" if leased else "no-lease")
        self._drift.generation = live.state.generation if live.state else 0
        self._drift.behind = await behind(self._sides)
        return live

    async def _compare_registries(self, live: LiveProjection) -> None:
        """Compare the registries, exchange by exchange.

        Raises ProjectionMoved if the generation was replaced meanwhile. Its keys are then being removed, so gaps are
        not drift.
        """
        registries = RegistryCheck(self._sides.database, self._wire, live, self._drift)
        self._listed = await registries.find_missing(self._progress)
        await registries.find_extra()
        self._require_same(await read_live(self._wire))

    async def _find_unmarked(self, live: LiveProjection) -> None:
        """Find slots of a shard that are not marked as built for it. Calls to their numbers are blocked."""
        for slot in await unmarked(self._wire, live):
            self._drift.add(drift.UNMARKED, f"slot {slot}")
        self._require_same(await read_live(self._wire))

    async def _find_missing(self) -> None:
        """Compare everything in SQL with Redis."""
        async with self._sides.database.read() as session:
            total = sum((await own_counts(session)).values())
            seen = 0
            async with aclosing(in_sql(session, self._sides.now(), self._shard)) as recorded:
                async for truth in recorded:
                    seen += sum(len(numbers) for numbers in truth.standing.values())
                    self._drift.overrides += len(truth.overrides)
                    await self._settle(await compare(self._wire, self._drift.generation, truth, self._sides.now()))
                    self._progress("SQL in Redis", seen, max(seen, total))
        self._drift.numbers += seen

    async def _count_recorded(self) -> None:
        """Count what SQL holds, because Redis has no generation to compare it with."""
        async with self._sides.database.read() as session:
            async with aclosing(in_sql(session, self._sides.now(), self._shard)) as recorded:
                async for truth in recorded:
                    self._drift.numbers += sum(len(numbers) for numbers in truth.standing.values())
                    self._drift.overrides += len(truth.overrides)
            if self._shard is None:  # The numbers of a registry on one shard are known only by comparing them.
                each, own = await counts(session), await own_counts(session)
                self._drift.numbers += sum(numbers for name, numbers in each.items() if name not in own)

    async def _find_extra(self, registries: Collection[str]) -> None:
        """Find subjects that only Redis holds. `_find_missing` compares the subjects that SQL holds."""
        seen = 0
        async for subjects in in_redis(self._wire, self._drift.generation, registries):
            async with self._sides.database.read() as session:
                truth = (await truth_of(session, subjects, self._sides.now())).negatives()
            await self._settle(await compare(self._wire, self._drift.generation, truth, self._sides.now()))
            seen += sum(len(numbers) for numbers in subjects.numbers.values())
            self._progress("Redis in SQL", seen, max(seen, self._drift.numbers))

    async def _settle(self, suspects: list[Difference]) -> None:
        """Compare suspects again in a turn, except those that have a pending change.

        Those that still differ are drift.
        """
        if not suspects:
            return
        async with self._sides.database.write() as session:
            await self._take_turn(session)
            subjects, at = subjects_of(suspects), self._sides.now()
            async for rows in outbox.portions(session, await outbox.pending_ids(session)):
                subjects.remove(outbox.subjects_of(rows))
            truth = await truth_of(session, subjects, at)
            for difference in await compare(self._wire, self._drift.generation, truth, at):
                self._drift.add(difference.kind, str(difference))

    async def _judge_counts(self) -> None:
        """Compare the counts in `dnc:state` with SQL, unless changes are pending."""
        async with self._sides.database.write() as session:
            live = await self._take_turn(session)
            async with self._sides.database.read() as snapshot:
                self._drift.pending = len(await outbox.pending_ids(snapshot))
                expected = await self._expected_counts(snapshot)
                terms = terms_value(*await terms_on_record(snapshot, live.versions))
            await self._judge_terms(live, terms)
            names = (live.counts.keys() | expected.keys()) - self._drift.behind.keys()
            for name in () if self._drift.pending else names:
                pair = live.counts.get(name, 0), expected.get(name, 0)
                if pair[0] != pair[1]:
                    self._drift.counted[name] = pair

    async def _expected_counts(self, session: AsyncSession) -> dict[str, int]:
        """Return how many numbers SQL has on each list.

        For a shard, only its own numbers count; those of a registry were counted in the version that was compared.
        """
        return await counts(session) if self._shard is None else await counts_of(session, self._shard) | self._listed

    async def _judge_terms(self, live: LiveProjection, wanted: bytes) -> None:
        """Compare the terms in SQL with those in Redis, and with the digest by which the gate checks them."""
        (held,) = await self._wire.ask(("GET", self._wire.keys.terms(self._drift.generation)))
        digest = live.state.terms if live.state else ""
        if not self._drift.pending and (held != wanted or digest != terms_digest(wanted)):
            self._drift.add(drift.TERMS_OTHER, "the terms of registries, patterns and campaign lists")

    async def _take_turn(self, session: AsyncSession) -> LiveProjection:
        await take_turn(session, self._sides.row)
        live = await read_live(self._wire)
        self._require_same(live)
        return live

    def _require_same(self, live: LiveProjection) -> None:
        if live.state is None or live.state.generation != self._drift.generation:
            raise ProjectionMoved
