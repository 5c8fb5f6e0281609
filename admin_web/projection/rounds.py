"""A round: the comparison of all of SQL with all of Redis in small steps, which mends what it finds.

Each step reads at most `NUMBERS_AT_ONCE` numbers from SQL, or the keys of one SCAN, and asks Redis for them in one
request. It holds no transaction and no connection until the next step. The steps may take a minute or a day.
"""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import select, tuple_

from admin_web.projection import drift
from admin_web.projection.batches import batches
from admin_web.projection.compare import Difference, compare
from admin_web.projection.drain import Sides
from admin_web.projection.lease import verified
from admin_web.projection.live import LiveProjection
from admin_web.projection.mending import by_kind, settle, settle_registry
from admin_web.projection.registry_sets import exchanges_of
from admin_web.projection.round_steps import NOTHING, StepDone, generation_of, require_same
from admin_web.projection.sweep import KEYS_AT_ONCE
from admin_web.projection.truth import Subjects, Truth, owns, truth_of
from admin_web.projection.whole_check import compare_whole
from admin_web.projection.wire import Reply, words
from admin_web.record.models import Override, RegistryExchange, SuppressionEntry
from admin_web.record.registry_versions import lines_of
from compliance.cluster import slot_of
from compliance.numbers import E164, LeadId
from compliance.redis_schema import generation_pattern, lines_in, listed_of, number_of, override_of

NUMBERS_AT_ONCE = 5_000
SETS_AT_ONCE = 3
"""Maximum numbers of an own list, and sets with up to ten thousand members, in one step.

Redis serves no other client during such a request. Three full sets take 1.7 ms (0.56 ms each).
"""


class Round:
    """One round over one Redis or shard. `steps` yields after each step.

    `evicted` is how many keys Redis had evicted when the round began.

    It raises WidelyDrifted if only a rebuild helps, ProjectionMoved if a rebuild has ended, ProjectionLost or another
    RedisUnavailable, and DatabaseUnavailable.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self.evicted = 0

    async def steps(self) -> AsyncIterator[StepDone]:
        """Compare everything. Registries come first, because they are the largest."""
        live = await verified(self._sides)
        self.evicted = live.evictions.keys
        for phase in (self._registries, self._own, self._overrides, self._extra):
            async for done in phase(live):
                yield done
        yield await compare_whole(self._sides, live)

    async def _registries(self, live: LiveProjection) -> AsyncIterator[StepDone]:
        """Compare each exchange of a registry in SQL with its set in Redis."""
        columns = RegistryExchange.__table__.columns
        for name, version in live.versions.items():
            after = ""
            while True:
                asked = select(columns.exchange, columns.lines).where(
                    columns.version_id == version, columns.exchange > after
                )
                async with self._sides.database.read() as session:
                    rows = (await session.execute(asked.order_by(columns.exchange).limit(SETS_AT_ONCE))).all()
                if not rows:
                    break
                after = rows[-1][0]
                kept = [(row[0], row[1]) for row in rows if row[1] and self._owns(live, row[0])]
                yield await self._compare_sets(live, name, kept)

    async def _compare_sets(self, live: LiveProjection, name: str, kept: Sequence[tuple[str, bytes]]) -> StepDone:
        sets = exchanges_of(generation_of(live), name, kept)
        async with self._sides.store.wire() as wire:
            replies = await wire.ask(*(("SMEMBERS", one.key) for one in sets), within_s=5.0)
            await require_same(wire, live)
            found = [
                difference
                for one, reply in zip(sets, replies, strict=True)
                for difference in _of_set(name, one.exchange, set(one.lines.tolist()), reply)
            ]
            return _done(await settle_registry(self._sides, wire, live, found))

    async def _own(self, live: LiveProjection) -> AsyncIterator[StepDone]:
        """Compare the entries that stand in SQL with Redis."""
        columns = SuppressionEntry.__table__.columns
        after = ("", "")
        while True:
            place = tuple_(columns.number, columns.list_name)
            asked = select(columns.number, columns.list_name).where(columns.lifted_at.is_(None), place > after)
            async with self._sides.database.read() as session:
                rows = (await session.execute(asked.order_by(*place).limit(NUMBERS_AT_ONCE))).all()
            if not rows:
                return
            after = (rows[-1][0], rows[-1][1])
            standing: dict[str, dict[E164, bool]] = {}
            for number, list_name in rows:
                if live.shard is None or owns(live.shard, E164(number)):
                    standing.setdefault(list_name, {})[E164(number)] = True
            yield await self._compare(live, Truth(standing, {}))

    async def _overrides(self, live: LiveProjection) -> AsyncIterator[StepDone]:
        """Compare the overrides that are live in SQL with Redis."""
        last = 0
        while True:
            at = live.earlier(self._sides.now())
            columns = select(Override.id, Override.number, Override.lead_id)
            asked = columns.where(*Override.opening(at), Override.id > last).order_by(Override.id)
            async with self._sides.database.read() as session:
                rows = (await session.execute(asked.limit(NUMBERS_AT_ONCE))).all()
                if not rows:
                    return
                last = rows[-1][0]
                subjects = Subjects(openings={(E164(row[1]), LeadId(row[2])) for row in rows})
                if live.shard:
                    subjects.keep(live.shard)
                truth = await truth_of(session, subjects, at)
            yield await self._compare(live, truth)

    async def _extra(self, live: LiveProjection) -> AsyncIterator[StepDone]:
        """Look up in SQL what Redis holds. What SQL holds has been compared."""
        cursor = b"0"
        while True:
            async with self._sides.store.wire() as wire:
                scan = ("SCAN", cursor, "MATCH", generation_pattern(generation_of(live)), "COUNT", KEYS_AT_ONCE)
                (reply,) = await wire.ask(scan)
                cursor, held = (words(reply[:1])[0], reply[1]) if isinstance(reply, list) else (b"0", [])
                keys = [key.decode("ascii", "replace") for key in words(held)]
            openings = {opening for key in keys if (opening := override_of(key))}
            yield await self._compare_extra(live, Subjects(openings=openings))
            sets = [(key, listed) for key in keys if (listed := listed_of(key))]
            for some in batches(sets, SETS_AT_ONCE):
                yield await self._compare_extra(live, await self._members(live, some))
            if cursor == b"0":
                return

    async def _members(self, live: LiveProjection, sets: Sequence[tuple[str, tuple[str, str]]]) -> Subjects:
        """Return the numbers in sets; of a registry, only those of exchanges that SQL does not list."""
        known = await self._known(live, [listed for _, listed in sets])
        unknown = [(key, listed) for key, listed in sets if listed not in known]
        subjects = Subjects()
        async with self._sides.store.wire() as wire:
            replies = await wire.ask(*(("SMEMBERS", key) for key, _ in unknown), within_s=5.0)
        for (_, (list_name, exchange)), lines in zip(unknown, replies, strict=True):
            numbers = [number_of(exchange, line) for line in lines_in(words(lines))]
            subjects.add(list_name, None, numbers)
        return subjects

    async def _known(self, live: LiveProjection, listed: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return the exchanges of registries that SQL lists, as (list, exchange)."""
        known = set[tuple[str, str]]()
        async with self._sides.database.read() as session:
            for name in live.versions.keys() & {name for name, _ in listed}:
                asked = [exchange for other, exchange in listed if other == name]
                found = await lines_of(session, live.versions[name], asked)
                known |= {(name, exchange) for exchange, lines in found.items() if lines}
        return known

    async def _compare_extra(self, live: LiveProjection, subjects: Subjects) -> StepDone:
        if not subjects:
            return NOTHING
        registries = {name: numbers for name, numbers in subjects.numbers.items() if name in live.versions}
        own = Subjects(openings=subjects.openings)
        own.numbers.update({name: some for name, some in subjects.numbers.items() if name not in registries})
        async with self._sides.database.read() as session:
            truth = (await truth_of(session, own, live.earlier(self._sides.now()))).negatives()
        done = await self._compare(live, truth)
        extra = [Difference(drift.EXTRA, name, None, number) for name, some in registries.items() for number in some]
        if not extra:
            return done
        async with self._sides.store.wire() as wire:
            await require_same(wire, live)
            return _done([*await settle_registry(self._sides, wire, live, extra)])

    async def _compare(self, live: LiveProjection, truth: Truth) -> StepDone:
        async with self._sides.store.wire() as wire:
            suspects = await compare(wire, generation_of(live), truth, self._sides.now())
            return _done(await settle(self._sides, wire, generation_of(live), suspects))

    def _owns(self, live: LiveProjection, exchange: str) -> bool:
        return live.shard is None or live.shard.owns(slot_of(exchange))


def _of_set(name: str, exchange: str, wanted: set[int], reply: Reply) -> list[Difference]:
    there = set(lines_in(words(reply)))
    kinds = ((drift.MISSING, wanted - there), (drift.EXTRA, there - wanted))
    return [Difference(kind, name, None, number_of(exchange, line)) for kind, lines in kinds for line in sorted(lines)]


def _done(found: Sequence[Difference]) -> StepDone:
    return StepDone(by_kind(found), [str(one) for one in found[: drift.EXAMPLES]]) if found else NOTHING
