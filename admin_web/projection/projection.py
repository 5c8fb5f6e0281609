"""The projection as others use it: one object with a verb for each thing that can be done with it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Self

from admin_web.database import Database
from admin_web.projection.builder import Progress
from admin_web.projection.drain import Sides, drain
from admin_web.projection.drift import Drift
from admin_web.projection.facts import facts_of
from admin_web.projection.following import behind, follow
from admin_web.projection.health import terms_lost
from admin_web.projection.lease import renew_lease
from admin_web.projection.live import look, require_fit
from admin_web.projection.rebuild import Built, Terms, quiet, rebuild
from admin_web.projection.shared import Shared
from admin_web.projection.store import Store
from admin_web.projection.sweep import sweep
from admin_web.projection.truth import Opening
from admin_web.projection.verify import verify
from admin_web.services.records import utc_now
from admin_web.settings import AdminSettings
from compliance.policy import Facts


class Projection:
    """The projection of `database` in the Redis of the settings. Building one opens nothing.

    What it does raises StoreUnavailable or one of its kinds (each is a NotInForce), and DatabaseUnavailable.
    """

    def __init__(self, database: Database, settings: AdminSettings, *, now: Callable[[], datetime] = utc_now) -> None:
        self.sides = Sides(database, Store(settings.redis, settings.replicas), now)
        self._lease_s = settings.lease_s
        self._drain = Shared(partial(drain, self.sides))

    async def drain(self) -> None:
        """Bring into force all that was committed before this call; when it returns, Redis has acknowledged it."""
        await self._drain()

    async def rebuild(
        self, *, allow_drop: bool = False, only_if_lost: bool = False, progress: Progress = quiet
    ) -> Built:
        """Build the projection anew and put it in place of the live one. Raises NotRebuilt too.

        `allow_drop` takes SQL's word for a much smaller list; `only_if_lost` leaves alone what is whole, and another
        builder that is at work.
        """
        return await rebuild(self.sides, Terms(self._lease_s, allow_drop, only_if_lost), progress)

    async def behind(self) -> dict[str, tuple[int, int]]:
        """Give each registry of which Redis holds another version than the one in force: Redis's, SQL's; 0 for none."""
        return await behind(self.sides)

    async def terms_lost(self) -> bool:
        """Tell whether Redis lacks the terms of the registries that its state names, or holds others."""
        async with self.sides.store.wire() as wire:
            return await terms_lost(wire, await look(wire))

    async def follow(self, *, allow_drop: bool = False, progress: Progress = quiet) -> None:
        """Bring the registries' versions in force by the record into force in Redis. Raises NotRebuilt too."""
        await follow(self.sides, Terms(self._lease_s, allow_drop, only_if_lost=True), progress)

    async def verify(self, progress: Progress = quiet) -> Drift:
        """Compare SQL and Redis, subject by subject."""
        return await verify(self.sides, progress)

    async def renew_lease(self) -> None:
        """Drain, and let the gate rely on the projection for as long as the settings say from before that."""
        await renew_lease(self.sides, self.drain, self._lease_s)

    async def facts(self, openings: Sequence[Opening]) -> list[Facts]:
        """Give what the gate would be told now of each lead on its number, in their order."""
        return await facts_of(self.sides.store, openings)

    async def require_fit(self) -> None:
        """Raise StoreUnfit for a Redis that may lose numbers."""
        async with self.sides.store.wire() as wire:
            await require_fit(wire)

    async def sweep(self) -> int:
        """Take out what earlier generations have left; give how many keys that was."""
        return await sweep(self.sides)

    async def close(self) -> None:
        """Close every connection to Redis."""
        await self.sides.store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
