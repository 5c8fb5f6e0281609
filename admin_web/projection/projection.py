"""The projection as others use it: one object with a verb for each thing that can be done with it.

Of a cluster each shard has a projection of its own; what is asked of all of them is asked of each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Self, TypeVar

from admin_web.projection import outbox
from admin_web.projection.builder import Progress
from admin_web.projection.drain import Sides, drain
from admin_web.projection.drift import Drift, together
from admin_web.projection.facts import facts_of
from admin_web.projection.following import behind, follow
from admin_web.projection.health import terms_lost
from admin_web.projection.lease import renew_lease
from admin_web.projection.ledger import Ledger
from admin_web.projection.live import StoreUnfit, look, require_fit
from admin_web.projection.rebuild import Built, NotNeeded, RebuildOptions, all_built, quiet, rebuild
from admin_web.projection.shared import Shared
from admin_web.projection.store import ClusterStore, RedisUnavailable, Store, store_at
from admin_web.projection.sweep import sweep
from admin_web.projection.truth import LeadOnNumber
from admin_web.projection.turn import first_slots
from admin_web.projection.verify import verify
from admin_web.record.changes import utc_now
from admin_web.record.database import Database
from admin_web.settings import AdminSettings
from compliance.facts import Facts

Given = TypeVar("Given")


class Projection:
    """The projection of `database` in the Redis of the settings, or in one shard of a cluster. Building one opens
    nothing.

    What it does raises RedisUnavailable or one of its kinds (each is a NotInForce), and DatabaseUnavailable.
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
        self._settings = settings
        self._drain = Shared(partial(drain, self.sides))
        self._shards: dict[int, Projection] = {}

    async def shards(self) -> "Sequence[Projection]":
        """Give the projection of each shard that there is now; of a Redis that is no cluster, this one."""
        store, ledger = self.sides.store, self.sides.ledger
        if not isinstance(store, ClusterStore) or ledger is None:
            return (self,)
        for shard in (await store.topology()).shards:
            if shard.first not in self._shards:
                part = store.shard(shard.first), ledger
                self._shards[shard.first] = Projection(
                    self.sides.database, self._settings, now=self.sides.now, shard=part
                )
        return [self._shards[shard.first] for shard in store.seen().shards]

    async def streams(self) -> Sequence[Store]:
        """Give the stores of every decision stream: also of those shards whose slots have since become others'."""
        store = self.sides.store
        if not isinstance(store, ClusterStore):
            return (store,)
        async with self.sides.database.read() as session:
            known = await first_slots(session)
        now = {shard.first for shard in (await store.topology()).shards}
        return [store.shard(slot) for slot in sorted(now | set(known))]

    async def drain(self) -> None:
        """Bring into force all that was committed before this call; when it returns, Redis has acknowledged it."""
        if not isinstance(self.sides.store, ClusterStore):
            await self._drain()
            return
        async with self.sides.database.read() as session:
            newest = await outbox.newest_pending(session)
        if newest is not None:
            await self._each(Projection.drain)
            await self._require_applied(newest)

    async def _require_applied(self, newest: int) -> None:
        """Raise StoreUnavailable while something is pending: the slots moved, say, while it was brought into force."""
        async with self.sides.database.read() as session:
            rows, _ = await outbox.oldest_pending(session, newest)
        if rows:
            raise RedisUnavailable("the slots of the cluster are moving; it is tried again")

    async def rebuild(
        self, *, allow_drop: bool = False, only_if_lost: bool = False, progress: Progress = quiet
    ) -> Built:
        """Build the projection anew and put it in place of the live one. Raises NotRebuilt too.

        `allow_drop` takes SQL's word for a much smaller list; `only_if_lost` leaves alone what is whole, and another
        builder that is at work.
        """
        terms, built = RebuildOptions(self._settings.lease_s, allow_drop, only_if_lost), list[Built]()
        whole: NotNeeded | None = None
        for one in await self.shards():
            try:
                built.append(await rebuild(one.sides, terms, progress))
            except NotNeeded as error:
                whole = error
        if whole and not built:
            raise whole
        return all_built(built)

    async def behind(self) -> dict[str, tuple[int, int]]:
        """Give each registry of which Redis holds another version than the one in force: Redis's, SQL's; 0 for none."""
        found = dict[str, tuple[int, int]]()
        for one in await self.shards():
            found |= await behind(one.sides)
        return found

    async def terms_lost(self) -> bool:
        """Tell whether Redis lacks the terms of the registries that its state names, or holds others."""
        for store in await self.sides.store.shards():
            async with store.wire() as wire:
                if await terms_lost(wire, await look(wire)):
                    return True
        return False

    async def follow(self, *, allow_drop: bool = False, progress: Progress = quiet) -> None:
        """Bring the registries' versions in force by the record into force in Redis. Raises NotRebuilt too."""
        for one in await self.shards():
            await follow(one.sides, RebuildOptions(self._settings.lease_s, allow_drop, only_if_lost=True), progress)

    async def verify(self, progress: Progress = quiet) -> Drift:
        """Compare SQL and Redis, subject by subject."""
        return together([await verify(one.sides, progress) for one in await self.shards()])

    async def renew_lease(self) -> None:
        """Drain, and let the gate rely on the projection for as long as the settings say from before that."""
        await self._each(Projection._renew_lease)

    async def _renew_lease(self) -> None:
        await renew_lease(self.sides, self.drain, self._settings.lease_s)

    async def facts(self, openings: Sequence[LeadOnNumber]) -> list[Facts]:
        """Give what the gate would be told now of each lead on its number, in their order."""
        return await facts_of(self.sides.store, openings)

    async def require_fit(self) -> None:
        """Raise StoreUnfit for a Redis that may lose numbers; of a cluster, one shard may be away meanwhile."""
        away: list[RedisUnavailable] = []
        stores = await self.sides.store.shards()
        for store in stores:
            try:
                async with store.wire() as wire:
                    await require_fit(wire)
            except StoreUnfit:
                raise
            except RedisUnavailable as error:
                away.append(error)
        if len(away) == len(stores):
            raise away[0]

    async def sweep(self) -> int:
        """Take out what earlier generations have left; give how many keys that was."""
        return sum(await self._each(lambda one: sweep(one.sides)))

    async def _each(self, work: "Callable[[Projection], Awaitable[Given]]") -> list[Given]:
        """Do something with every shard at once, and with all of them even if it fails with some."""
        done = await asyncio.gather(*(work(one) for one in await self.shards()), return_exceptions=True)
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
