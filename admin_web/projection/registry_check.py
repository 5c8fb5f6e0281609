"""Comparison of registries between SQL and Redis, exchange by exchange, in constant memory.

Only a rebuild writes a registry's sets, and a version never changes. So every difference is drift, even while other
changes go on.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from admin_web.projection import drift
from admin_web.projection.batches import batches
from admin_web.projection.drift import Drift
from admin_web.projection.live import LiveProjection
from admin_web.projection.progress import Progress
from admin_web.projection.registry_sets import Exchange, exchanges_of
from admin_web.projection.sweep import scan
from admin_web.projection.truth import registry_exchanges
from admin_web.projection.wire import Reply, Wire, words
from admin_web.record.database import Database
from admin_web.record.registry_versions import lines_of
from compliance.cluster import slot_of
from compliance.redis_schema import lines_in, listed_of, listed_pattern, number_of

SETS_AT_ONCE = 20
"""Sets whose members are fetched in one request. A set has at most ten thousand members."""

FETCHED_WITHIN_S = 20.0

LONGEST_SHOWN = 32
"""Bytes that are shown of a member that is no line number."""

_WORDS = [str(line).encode() for line in range(10_000)]


class RegistryCheck:
    """Compares the registries of the generation that `live` describes with SQL. Differences are added to `drift`."""

    def __init__(self, database: Database, wire: Wire, live: LiveProjection, drift: Drift) -> None:
        self._database, self._wire, self._drift = database, wire, drift
        self._versions, self._counts, self._shard = live.versions, live.counts, live.shard

    async def find_missing(self, progress: Progress) -> dict[str, int]:
        """Compare each exchange in SQL with its set in Redis. Returns how many numbers of each registry SQL has."""
        counted = dict.fromkeys(self._versions, 0)
        for name, version in self._versions.items():
            async with (
                self._database.read() as session,
                aclosing(registry_exchanges(session, version)) as exchanges,
            ):
                async for some in exchanges:
                    async for one, reply in self._fetched(name, self._own(some)):
                        self._compare(name, one, reply)
                        counted[name] += len(one.lines)
                    progress(f"{name} in Redis", counted[name], max(counted[name], self._counts.get(name, 0)))
        self._drift.numbers += sum(counted.values())
        return counted

    def _own(self, some: Sequence[tuple[str, bytes]]) -> Sequence[tuple[str, bytes]]:
        """Leave out the exchanges of other shards of a cluster."""
        shard = self._shard
        return some if shard is None else [one for one in some if shard.owns(slot_of(one[0]))]

    async def find_extra(self) -> None:
        """Find sets in Redis whose exchange SQL does not list.

        `find_missing` compares the sets of exchanges that SQL lists.
        """
        for name in self._versions:
            async for keys in scan(self._wire, listed_pattern(self._drift.generation, name)):
                await self._look_up(name, [listed[1] for key in keys if (listed := listed_of(key))])

    async def _look_up(self, name: str, exchanges: Sequence[str]) -> None:
        async with self._database.read() as session:
            known = await lines_of(session, self._versions[name], exchanges)
        for exchange in exchanges:
            if not known.get(exchange):
                (one,) = exchanges_of(self._drift.generation, name, [(exchange, b"")])
                (reply,) = await self._wire.ask(("SMEMBERS", one.key))
                self._compare(name, one, reply)

    async def _fetched(self, name: str, kept: Sequence[tuple[str, bytes]]) -> AsyncIterator[tuple[Exchange, Reply]]:
        for few in batches(exchanges_of(self._drift.generation, name, kept), SETS_AT_ONCE):
            replies = await self._wire.ask(*(("SMEMBERS", one.key) for one in few), within_s=FETCHED_WITHIN_S)
            for pair in zip(few, replies, strict=True):
                yield pair

    def _compare(self, name: str, one: Exchange, reply: Reply) -> None:
        """Compare a set in Redis with SQL. Redis returns the members of an intset in ascending order, as SQL does."""
        wanted = [_WORDS[line] for line in one.lines.tolist()]
        if wanted == reply:
            return
        there = set(words(reply))
        for kind, lines in ((drift.MISSING, set(wanted) - there), (drift.EXTRA, there - set(wanted))):
            for line in sorted(lines, key=_order):
                self._drift.add(kind, f"{_shown(one.exchange, line)} on {name}")


def _order(line: bytes) -> tuple[int, bytes]:
    return next(iter(lines_in([line])), -1), line


def _shown(exchange: str, line: bytes) -> str:
    lines = lines_in([line])
    return number_of(exchange, lines[0]) if lines else f"+{exchange} {line[:LONGEST_SHOWN]!r}"
