"""The builder of a generation: it writes everything in SQL to Redis, beside the live generation."""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing, suppress
from time import monotonic

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection import outbox
from admin_web.projection.batches import batches
from admin_web.projection.drain import Sides
from admin_web.projection.eviction import NONE_YET
from admin_web.projection.incarnation import what_happened
from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.progress import Progress
from admin_web.projection.rebuild_outcome import BuildLost, RebuildSuperseded
from admin_web.projection.registry_sets import AT_ONCE, RegistryWriter, exchanges_of
from admin_web.projection.truth import (
    all_exchanges,
    all_overrides,
    counts,
    counts_of,
    own_counts,
    owns,
    registry_exchanges,
    registry_versions,
    truth_of,
)
from admin_web.projection.turn import last_turn
from admin_web.projection.wire import Command, Reply, Wire
from admin_web.projection.writing import ExchangePart, override_commands, parts_of
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.models import ProjectionRow
from compliance.cluster import Shard, slot_of
from compliance.redis_schema import slot_key

COMMANDS_AT_ONCE = 1_000
LINES_AT_ONCE = 10_000
"""Maximum numbers of commands and of line numbers in one write to Redis.

Between two writes Redis serves other clients.
"""

WRITE_WITHIN_S = 20.0
"""Time limit of one such write, in seconds. It is long because a disk may be slow, and because no call or change waits
for the write.
"""

HEARTBEAT_S = 2.0
"""Seconds between two heartbeats of a builder."""


INTACT_S = 0.5
"""Seconds between two looks whether this build can still go live. If not, it would only delay the next one."""


class Builder:
    """Builds `generation` over one connection, so that the whole generation is in one incarnation of Redis.

    `counts` are the numbers per list that Redis has acknowledged. `versions` are the registry versions that are loaded.
    """

    def __init__(self, sides: Sides, wire: Wire, generation: int, progress: Progress) -> None:
        self.generation = generation
        self.counts: dict[str, int] = defaultdict(int)
        self.versions: dict[str, int] = {}
        self.pending: set[int] = set()
        self._sides, self._wire, self._progress = sides, wire, progress
        self._shard: Shard | None = None
        self._loaded: dict[str, int] = {}
        self._mark = secrets.token_hex(8).encode()
        self._server, self._evictions = "", NONE_YET
        self._at = sides.now()
        self._since_turn = 0
        self._beat_at = self._looked_at = monotonic()

    async def begin(self) -> None:
        """Write the build's mark. Without it this generation can never become the live one."""
        live = await read_live(self._wire)
        self._at = live.earlier(self._sides.now())
        self._server, self._shard, self._evictions = live.server, live.shard, live.evictions
        await self._wire.ask(("SET", self._wire.keys.build(self.generation), self._mark))

    async def require_intact(self, live: LiveProjection) -> None:
        """Raise BuildLost if the server is in another incarnation than at `begin`, was emptied, or may have evicted.

        Emptying Redis also removes the mark.
        """
        if live.server != self._server:
            raise BuildLost(what_happened(self._server, live.server) + self._wire.where)
        if live.evictions.may_take_sets or not live.evictions.spared(self._evictions):
            raise BuildLost(f"Redis may have evicted numbers{self._wire.where}; set its maxmemory-policy to noeviction")
        (mark,) = await self._wire.ask(("GET", self._wire.keys.build(self.generation)))
        if mark != self._mark:
            raise BuildLost(f"Redis was emptied{self._wire.where}")

    async def load(self) -> None:
        """Write one snapshot of SQL."""
        async with self._sides.database.read() as session:
            self._since_turn = (await last_turn(session)).number
            self.pending = await outbox.pending_ids(session)
            self.versions = await registry_versions(session)
            await self._load_numbers(session)
            await self._load_registries(session)
            await self._load_overrides(session)
        await self._mark_slots()

    async def expected_counts(self, session: AsyncSession) -> dict[str, int]:
        """Return how many numbers SQL has on each list.

        For a shard, only its own numbers count; those of a registry were counted while its version was loaded.
        """
        return await counts(session) if self._shard is None else await counts_of(session, self._shard) | self._loaded

    async def _mark_slots(self) -> None:
        """Mark each slot of a shard with the server, and that server's reign, for which the slot's sets were built."""
        slots = list(self._shard.slots()) if self._shard else []
        for some in batches(slots, COMMANDS_AT_ONCE):
            await self._write([("SET", slot_key(self.generation, slot), self._server) for slot in some])

    def _owns(self, exchange: str) -> bool:
        return self._shard is None or self._shard.owns(slot_of(exchange))

    async def _load_numbers(self, session: AsyncSession) -> None:
        total, parts, lines = sum((await own_counts(session)).values()), list[ExchangePart](), 0
        self._progress("numbers", 0, total)
        async with aclosing(all_exchanges(session)) as exchanges:
            async for list_name, exchange, some in exchanges:
                if not self._owns(exchange):
                    continue
                parts.append(ExchangePart(list_name, exchange, True, some))
                lines += len(some)
                if len(parts) >= COMMANDS_AT_ONCE or lines >= LINES_AT_ONCE:
                    await self._heartbeat()
                    await self._write_parts(parts)
                    self._progress("numbers", sum(self.counts.values()), total)
                    parts, lines = [], 0
        await self._write_parts(parts)
        self._progress("numbers", sum(self.counts.values()), total)

    async def _load_registries(self, session: AsyncSession) -> None:
        writer, expected = RegistryWriter(self._wire, WRITE_WITHIN_S), await counts(session)
        self._loaded = dict.fromkeys(self.versions, 0)
        for name, version in self.versions.items():
            async with aclosing(registry_exchanges(session, version)) as exchanges:
                async for some in exchanges:
                    for few in batches([one for one in some if self._owns(one[0])], AT_ONCE):
                        await self._heartbeat()
                        sets = exchanges_of(self.generation, name, few)
                        self._loaded[name] += sum(len(one.lines) for one in sets)
                        self.counts[name] += await writer.write(sets)
                    self._progress(name, self.counts[name], expected[name])

    async def _load_overrides(self, session: AsyncSession) -> None:
        commands: list[Command] = []
        loaded = 0
        async with aclosing(all_overrides(session, self._at)) as overrides:
            async for one in overrides:
                if self._shard and not owns(self._shard, one[0][0]):
                    continue
                commands += override_commands(self.generation, [one])
                loaded += 1
                if len(commands) >= COMMANDS_AT_ONCE:
                    await self._write(commands)
                    commands = []
        await self._write(commands)
        self._progress("overrides", loaded, loaded)

    async def catch_up(self, session: AsyncSession) -> int:
        """Write the changes that were committed between the last snapshot and this newer one.

        Returns the number of outbox rows. A row that was pending at the last snapshot, and still is, is skipped: its
        subjects were read then, and each later change has another row.
        """
        turn, pending = await last_turn(session), await outbox.pending_ids(session)
        news = await outbox.ids_since(session, self._since_turn) - (self.pending & pending)
        async for rows in outbox.portions(session, news):
            subjects = outbox.subjects_of(rows)
            if self._shard:
                subjects.keep(self._shard)
            truth = await truth_of(session, subjects, self._at)
            await self._write_parts(parts_of(truth))
            await self._write([*override_commands(self.generation, truth.overrides.items())])
        self._since_turn, self.pending = turn.number, pending
        return len(news)

    async def _write_parts(self, parts: Sequence[ExchangePart]) -> None:
        replies = await self._write([part.command(self.generation) for part in parts])
        for part, reply in zip(parts, replies, strict=True):
            changed = reply if isinstance(reply, int) else 0
            self.counts[part.list_name] += changed if part.stand else -changed

    async def _write(self, commands: Sequence[Command]) -> Sequence[Reply]:
        return await self._wire.ask(*commands, within_s=WRITE_WITHIN_S)

    async def _heartbeat(self) -> None:
        """Record a heartbeat of this build, at most every HEARTBEAT_S.

        Raises RebuildSuperseded when another build has begun, and BuildLost as `require_intact` does.
        """
        if monotonic() - self._looked_at >= INTACT_S:
            await self.require_intact(await read_live(self._wire))
            self._looked_at = monotonic()
        if monotonic() - self._beat_at < HEARTBEAT_S:
            return
        self._beat_at = monotonic()
        ours = update(ProjectionRow).where(
            ProjectionRow.id == self._sides.row, ProjectionRow.building == self.generation
        )
        # If a long transaction of another process holds the lock, skip this heartbeat. The next heartbeat, or the flip,
        # detects whether another build has begun.
        with suppress(DatabaseUnavailable):
            async with self._sides.database.write() as session:
                heard = ours.values(building_at=self._sides.now()).returning(ProjectionRow.id)
                if await session.scalar(heard) is None:
                    raise RebuildSuperseded
