"""A generation being built: everything that SQL says, written beside the live one."""

import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import TypeAlias

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection import outbox
from admin_web.projection.batches import batches
from admin_web.projection.drain import Sides
from admin_web.projection.live import LiveProjection, look
from admin_web.projection.registry_sets import AT_ONCE, RegistryWriter, exchanges_of
from admin_web.projection.store import Command, Reply, Wire
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
from admin_web.projection.writing import ExchangePart, parts_of, spell_overrides
from admin_web.record.database import DatabaseUnavailable
from admin_web.record.models import ProjectionRow
from compliance.cluster import Shard, slot_of
from compliance.redis_schema import slot_key

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told of the phase, how much of it is done, and how much there is to do."""

COMMANDS_AT_ONCE = 1_000
LINES_AT_ONCE = 10_000
"""What one write to Redis takes; between two of them others are served."""

WRITE_WITHIN_S = 20.0
"""How long one such write may take: nobody waits for it, and a disk may be slow."""

HEARD_OF_S = 2.0
"""How often a builder lets itself be heard of."""

SUPERSEDED = "another rebuild has begun; this one has stopped"


class NotRebuilt(Exception):
    """The projection was not rebuilt; the live one was left as it is. The message says why."""


class RebuildSuperseded(NotRebuilt):
    """Another rebuild has begun, and goes on."""


class BuildLost(NotRebuilt):
    """Redis lost a part of the new generation while it was being built."""


class Builder:
    """Builds `generation` over one connection, so that all of it is in one incarnation of Redis.

    `counts` are the numbers per list that Redis has acknowledged, `versions` those of the registries that it was given.
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
        self._server = ""
        self._since_turn = 0
        self._heard_of = monotonic()

    async def begin(self) -> None:
        """Set the mark without which this generation can never become the live one."""
        live = await look(self._wire)
        self._server, self._shard = live.server, live.shard
        await self._wire.ask(("SET", self._wire.keys.build(self.generation), self._mark))

    async def require_whole(self, live: LiveProjection) -> None:
        """Raise BuildLost unless nothing was taken away since `begin`: what empties Redis takes the mark too."""
        (mark,) = await self._wire.ask(("GET", self._wire.keys.build(self.generation)))
        if live.server != self._server or mark != self._mark:
            raise BuildLost("Redis was restarted or emptied while the projection was being rebuilt")

    async def load(self) -> None:
        """Write all of one snapshot."""
        async with self._sides.database.read() as session:
            self._since_turn = (await last_turn(session)).number
            self.pending = await outbox.pending_ids(session)
            self.versions = await registry_versions(session)
            await self._load_numbers(session)
            await self._load_registries(session)
            await self._load_overrides(session)
        await self._mark_slots()

    async def standing(self, session: AsyncSession) -> dict[str, int]:
        """Count what stands on each list, by SQL: of a shard, what is its own, with a version as it was read."""
        return await counts(session) if self._shard is None else await counts_of(session, self._shard) | self._loaded

    async def _mark_slots(self) -> None:
        """Let it be seen of each slot of a shard that its sets were built for this very reign of it."""
        slots = list(self._shard.slots()) if self._shard else []
        for some in batches(slots, COMMANDS_AT_ONCE):
            await self._write([("SET", slot_key(self.generation, slot), self._server) for slot in some])

    def _owns(self, exchange: str) -> bool:
        return self._shard is None or self._shard.owns(slot_of(exchange))

    async def _load_numbers(self, session: AsyncSession) -> None:
        total, parts, lines = sum((await own_counts(session)).values()), list[ExchangePart](), 0
        self._progress("numbers", 0, total)
        async for list_name, exchange, some in all_exchanges(session):
            if not self._owns(exchange):
                continue
            parts.append(ExchangePart(list_name, exchange, True, some))
            lines += len(some)
            if len(parts) >= COMMANDS_AT_ONCE or lines >= LINES_AT_ONCE:
                await self._be_heard_of()
                await self._put(parts)
                self._progress("numbers", sum(self.counts.values()), total)
                parts, lines = [], 0
        await self._put(parts)
        self._progress("numbers", sum(self.counts.values()), total)

    async def _load_registries(self, session: AsyncSession) -> None:
        writer, standing = RegistryWriter(self._wire, WRITE_WITHIN_S), await counts(session)
        self._loaded = dict.fromkeys(self.versions, 0)
        for name, version in self.versions.items():
            async for some in registry_exchanges(session, version):
                for few in batches([one for one in some if self._owns(one[0])], AT_ONCE):
                    await self._be_heard_of()
                    sets = exchanges_of(self.generation, name, few)
                    self._loaded[name] += sum(len(one.lines) for one in sets)
                    self.counts[name] += await writer.write(sets)
                self._progress(name, self.counts[name], standing[name])

    async def _load_overrides(self, session: AsyncSession) -> None:
        commands: list[Command] = []
        loaded = 0
        async for one in all_overrides(session, self._sides.now()):
            if self._shard and not owns(self._shard, one[0][0]):
                continue
            commands += spell_overrides(self.generation, [one])
            loaded += 1
            if len(commands) >= COMMANDS_AT_ONCE:
                await self._write(commands)
                commands = []
        await self._write(commands)
        self._progress("overrides", loaded, loaded)

    async def catch_up(self, session: AsyncSession) -> int:
        """Write the truth of all that was committed since, as this newer snapshot shows it; give how many rows.

        A row that was pending when its subjects were read, and still is, has nothing to add: what was committed
        after that has a row of its own.
        """
        turn, pending = await last_turn(session), await outbox.pending_ids(session)
        news = await outbox.ids_since(session, self._since_turn) - (self.pending & pending)
        async for rows in outbox.portions(session, news):
            subjects = outbox.subjects_of(rows)
            if self._shard:
                subjects.keep(self._shard)
            truth = await truth_of(session, subjects, self._sides.now())
            await self._put(parts_of(truth))
            await self._write([*spell_overrides(self.generation, truth.overrides.items())])
        self._since_turn, self.pending = turn.number, pending
        return len(news)

    async def _put(self, parts: Sequence[ExchangePart]) -> None:
        replies = await self._write([part.spell(self.generation) for part in parts])
        for part, reply in zip(parts, replies, strict=True):
            changed = reply if isinstance(reply, int) else 0
            self.counts[part.list_name] += changed if part.stand else -changed

    async def _write(self, commands: Sequence[Command]) -> Sequence[Reply]:
        return await self._wire.ask(*commands, within_s=WRITE_WITHIN_S)

    async def _be_heard_of(self) -> None:
        """Put on record that this build goes on. Raises RebuildSuperseded when it need not."""
        if monotonic() - self._heard_of < HEARD_OF_S:
            return
        self._heard_of = monotonic()
        ours = update(ProjectionRow).where(
            ProjectionRow.id == self._sides.row, ProjectionRow.building == self.generation
        )
        with suppress(DatabaseUnavailable):  # Somebody else's long change; the flip will see.
            async with self._sides.database.write() as session:
                heard = ours.values(building_at=self._sides.now()).returning(ProjectionRow.id)
                if await session.scalar(heard) is None:
                    raise RebuildSuperseded(SUPERSEDED)
