"""What must be done all the time for one Redis, or for one shard of a cluster: apply, renew, rebuild, follow, sweep."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeAlias

import structlog

from admin_web.projection.live import ProjectionLost
from admin_web.projection.projection import Projection
from admin_web.projection.rebuild_outcome import NotNeeded, NotRebuilt, RebuildUnderWay, SuspiciousDrop
from admin_web.settings import AdminSettings
from admin_web.worker.decision_archive import IDLE_MS, DecisionArchive

Step: TypeAlias = Callable[[], Awaitable[float]]
"""One step of a loop: it gives how many seconds to wait before the next."""

POLL_S = 0.1
"""How long a change waits that its own service could not apply."""

LEASE_S = 1.0
"""How often the lease is renewed at the least; a short one is renewed four times in its length."""

REFUSED_S = 60.0
FAILED_S = 5.0
"""How long a rebuild that was refused, or that failed for another reason of its own, is not tried again."""

LOST_S = 0.5
"""How often it is asked whether the projection is whole again while somebody else rebuilds it."""

LEFT_S = 10.0
"""How often decisions are looked for that somebody read and did not archive."""

SWEEP_S = 600.0

log = structlog.get_logger()


class Keeper:
    """Keeps one projection: each of its `loops` is repeated."""

    def __init__(self, projection: Projection, settings: AdminSettings) -> None:
        self._projection = projection
        self._lease_every_s = min(LEASE_S, settings.lease_s / 4 or LEASE_S)
        self._lease_due = self._rebuild_due = self._sweep_due = self._follow_due = 0.0

    @property
    def loops(self) -> dict[str, Step]:
        """Name what is repeated."""
        return {"projection": self.keep, "registries": self.follow, "sweep": self.sweep}

    async def keep(self) -> float:
        """Apply what is pending, renew the lease when it is due, and rebuild what Redis has lost."""
        try:
            if monotonic() >= self._lease_due:
                await self._projection.renew_lease()
                self._lease_due = monotonic() + self._lease_every_s
            else:
                await self._projection.drain()
        except ProjectionLost:
            if monotonic() < self._rebuild_due:
                raise
            return await self._rebuild()
        return POLL_S

    async def _rebuild(self) -> float:
        """Build anew what Redis has lost, unless somebody else is at it, or has just done it."""
        try:
            await self._projection.rebuild(only_if_lost=True)
        except (NotNeeded, RebuildUnderWay):
            return LOST_S
        except SuspiciousDrop as error:
            self._rebuild_due = monotonic() + REFUSED_S
            log.error("rebuild refused, calls stay blocked", why=str(error))
            raise
        except NotRebuilt:
            self._rebuild_due = monotonic() + FAILED_S
            raise
        self._lease_due = self._sweep_due = monotonic()
        return 0.0

    async def follow(self) -> float:
        """Bring into force what was imported of registries, unless whoever imported it is at it.

        Where their terms are lost, more may be: then the projection is built anew.
        """
        if monotonic() < self._follow_due:
            return LEASE_S
        lost = await self._projection.terms_lost()
        if lost or await self._projection.behind():
            self._follow_due = monotonic() + FAILED_S
            try:
                await (self._projection.rebuild() if lost else self._projection.follow())
            except SuspiciousDrop:
                self._follow_due = monotonic() + REFUSED_S
                raise
            self._sweep_due = monotonic()
        return LEASE_S

    async def sweep(self) -> float:
        """Take out of Redis, now and then, what earlier generations have left."""
        if monotonic() >= self._sweep_due:
            self._sweep_due = monotonic() + SWEEP_S
            await self._projection.sweep()
        return LEASE_S


class Archivist:
    """Takes one stream of decisions to SQL."""

    def __init__(self, archive: DecisionArchive) -> None:
        self._archive = archive
        self._left_due, self._idle_ms = 0.0, 0

    async def step(self) -> float:
        """Archive the next decisions; at the start, after a failure, and now and then, also what was left."""
        idle_ms, self._idle_ms = self._idle_ms, 0  # Nothing is waited for in the step after one that fails.
        if not idle_ms or monotonic() >= self._left_due:
            await self._archive.archive_left(idle_ms)
            self._left_due = monotonic() + LEFT_S
        await self._archive.archive_new()
        self._idle_ms = IDLE_MS
        return 0.0
