"""The projection as other packages use it: one object with a method for each operation.

In a cluster each shard has its own projection, and an operation runs on all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Self, TypeVar

import structlog

from admin_web.projection import outbox
from admin_web.projection.drain import Sides, drain
from admin_web.projection.drift import Drift, together
from admin_web.projection.facts import facts_of
from admin_web.projection.following import behind, follow
from admin_web.projection.health import terms_lost
from admin_web.projection.lease import renew_lease
from admin_web.projection.ledger import Ledger
from admin_web.projection.live import StoreUnfit, read_live
from admin_web.projection.progress import Progress, of_shard, quiet
from admin_web.projection.rebuild import RebuildOptions, rebuild
from admin_web.projection.rebuild_outcome import Built, NotNeeded, all_built
from admin_web.projection.shared import Shared
from admin_web.projection.store import ClusterStore, Store, store_at
from admin_web.projection.store_settings import require_stores_fit
from admin_web.projection.sweep import sweep
from admin_web.projection.truth import LeadOnNumber, registry_versions
from admin_web.projection.turn import first_slots
from admin_web.projection.verify import verify
from admin_web.projection.wire import RedisSilent, RedisUnavailable, words
from admin_web.record.changes import utc_now
from admin_web.record.database import Database
from admin_web.settings import AdminSettings
from compliance.facts import Facts
from compliance.numbers import E164
from compliance.redis_schema import slot_of_number

log = structlog.get_logger()

Given = TypeVar("Given")


class Projection:
    """The projection of `database` in the Redis of the settings, or in one shard of a cluster.

    It connects at the first operation. Operations raise RedisUnavailable or a subclass (each is a NotInForce), or
    DatabaseUnavailable. `evicted` is how many keys Redis had evicted when this object last renewed the lease.
    """

    def __init__(
        self,
        database: Database,
        settings: AdminSettings,
        *,
        now: Callable[[], datetime] = utc_now,
        shard: tuple[Store, Ledger] | None = None,
    ) -> None:
        store, ledger = shard or (store_at(settings.redis, settings.replicas), None)
        if isinstance(store, ClusterStore):
            ledger = Ledger(store.seen)
        self.sides = Sides(database, store, now, ledger)
        self._settings, self.evicted = settings, 0
        self._drain = Shared(partial(drain, self.sides), hopeless=RedisSilent)
        self._shards: dict[int, Projection] = {}

    @property
    def first_slot(self) -> int | None:
        """The lowest slot of the shard; None for a single Redis and for all shards together."""
        return self.sides.store.keys.first_slot

    async def shards(self, slots: Collection[int] | None = None) -> "Sequence[Projection]":
        """Return the projection of each present shard that owns any of `slots`, by default of all shards.

        Outside a cluster, return this one.
        """
        store, ledger = self.sides.store, self.sides.ledger
        if not isinstance(store, ClusterStore) or ledger is None:
            return (self,)
        for shard in (await store.topology()).shards:
            if shard.first not in self._shards:
                part = store.shard(shard.first), ledger
                self._shards[shard.first] = Projection(
                    self.sides.database, self._settings, now=self.sides.now, shard=part
                )
        return [self._shards[shard.first] for shard in store.seen().shards if slots is None or shard.owns_any(slots)]

    async def streams(self) -> Sequence[Store]:
        """Return the store of each decision stream, including those of former shards whose slots have moved."""
        store = self.sides.store
        if not isinstance(store, ClusterStore):
            return (store,)
        async with self.sides.database.read() as session:
            known = await first_slots(session)
        now = {shard.first for shard in (await store.topology()).shards}
        return [store.shard(slot) for slot in sorted(now | set(known))]

    async def drain(self, numbers: Collection[E164] | None = None) -> None:
        """Apply every change that was committed before this call.

        When this returns, Redis has acknowledged all of them. With `numbers`, only the shards of these numbers are
        asked, and have acknowledged all changes.
        """
        if not isinstance(self.sides.store, ClusterStore):
            await self._drain()
            return
        async with self.sides.database.read() as session:
            newest = await outbox.newest_pending(session)
        if newest is not None:
            slots = None if numbers is None else {slot_of_number(number) for number in numbers}
            await self._each(lambda one: one.drain(), slots)
            await self._require_applied(newest, slots)

    async def _require_applied(self, newest: int, slots: Collection[int] | None) -> None:
        """Raise RedisUnavailable while an owner of `slots` lacks rows, for example because slots have moved meanwhile.

        Without `slots`, raise it while any row is pending.
        """
        async with self.sides.database.read() as session:
            pending = await outbox.pending_ids(session, newest)
        ledger = self.sides.ledger
        if pending and (slots is None or ledger is None or not ledger.owners_have(slots, pending)):
            raise RedisUnavailable("the slots of the cluster are moving; the worker tries again")

    async def rebuild(
        self,
        *,
        allow_drop: bool = False,
        discarded: Collection[int | None] = (),
        only_if_lost: bool = False,
        progress: Progress = quiet,
    ) -> Built:
        """Build a new generation and make it the live one. Raises NotRebuilt too.

        With `allow_drop` a list may become much smaller. With `discarded`, only on the shards that have these lowest
        slots (None: the single Redis). With `only_if_lost` nothing is done if Redis holds the projection on record, or
        if another builder is at work.
        """
        built = list[Built]()
        whole: NotNeeded | None = None
        for one in await self.shards():
            may_drop = allow_drop or one.first_slot in discarded
            options = RebuildOptions(self._settings.lease_s, may_drop, only_if_lost)
            try:
                built.append(await rebuild(one.sides, options, of_shard(progress, one.first_slot)))
            except NotNeeded as error:
                whole = error
        if whole and not built:
            raise whole
        return all_built(built)

    async def behind(self) -> dict[str, tuple[int, int]]:
        """Return the registries whose version in Redis is not the one in force: (Redis, SQL), 0 for none."""
        found = dict[str, tuple[int, int]]()
        for one in await self.shards():
            found |= await behind(one.sides)
        return found

    async def time(self) -> datetime:
        """Return the time by the clock of Redis, the slowest one in a cluster (aware UTC). Raises RedisUnavailable."""
        found: list[datetime] = []
        for store in await self.sides.store.shards():
            async with store.wire() as wire:
                (clock,) = await wire.ask(("TIME",))
                seconds, _ = words(clock)
                found.append(datetime.fromtimestamp(int(seconds), UTC))
        return min(found)

    async def terms_lost(self) -> bool:
        """Return whether Redis lacks the registries' terms that its state names, or holds others."""
        for store in await self.sides.store.shards():
            async with store.wire() as wire:
                if await terms_lost(wire, await read_live(wire)):
                    return True
        return False

    async def follow(self, *, allow_drop: bool = False, progress: Progress = quiet) -> None:
        """Rebuild until Redis holds the registries' versions that are in force in SQL. Raises NotRebuilt too."""
        options = RebuildOptions(self._settings.lease_s, allow_drop, only_if_lost=True)
        for one in await self.shards():
            await follow(one.sides, options, of_shard(progress, one.first_slot))

    async def verify(self, progress: Progress = quiet) -> Drift:
        """Compare all of SQL with all of Redis."""
        each = [await verify(one.sides, of_shard(progress, one.first_slot)) for one in await self.shards()]
        return together(each)

    async def renew_lease(self) -> None:
        """Apply every pending change and extend the lease; see `lease.renew_lease`."""
        await self._each(Projection._renew_lease)

    async def _renew_lease(self) -> None:
        self.evicted = (await renew_lease(self.sides, self.drain, self._settings.lease_s)).keys

    async def facts(self, openings: Sequence[LeadOnNumber], campaign: str = "") -> list[Facts]:
        """Return what the gate would read now for each lead and its number, in the order of `openings`."""
        return await facts_of(self.sides.store, openings, campaign)

    async def require_fit(self) -> None:
        """Raise StoreUnfit for a Redis that may lose numbers, or is too small for the registries in force.

        In a cluster, unreachable shards are skipped unless all are unreachable.
        """
        async with self.sides.database.read() as session:
            registries = bool(await registry_versions(session))
        await require_stores_fit(await self.sides.store.shards(), registries=registries)

    async def require_fit_for_a_registry(self) -> None:
        """Raise StoreUnfit if Redis could not hold a registry that is about to be imported.

        An unreachable Redis is no fault: the version is then recorded, and comes into force later.
        """
        try:
            await require_stores_fit(await self.sides.store.shards(), registries=True)
        except StoreUnfit:
            raise
        except RedisUnavailable as error:
            log.warning("redis was not checked before the import", error=str(error))

    async def sweep(self) -> int:
        """Remove the keys of earlier generations. Returns how many there were."""
        return sum(await self._each(lambda one: sweep(one.sides)))

    async def _each(
        self, work: "Callable[[Projection], Awaitable[Given]]", slots: Collection[int] | None = None
    ) -> list[Given]:
        """Run `work` on all shards at once, or on the owners of `slots`.

        If it fails on some shards, it still finishes on the others; then the first error is raised.
        """
        done = await asyncio.gather(*(work(one) for one in await self.shards(slots)), return_exceptions=True)
        failed = [one for one in done if isinstance(one, BaseException)]
        if failed:
            raise failed[0]
        return [one for one in done if not isinstance(one, BaseException)]

    async def close(self) -> None:
        """Close every connection to Redis."""
        await self.sides.store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
