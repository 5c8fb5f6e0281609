"""Continuous work for one Redis, or one shard: apply changes, renew the lease, rebuild, follow registries, sweep."""

from time import monotonic

import structlog

from admin_web.projection.lease import end_lease
from admin_web.projection.live import ForeignHistory, NotRecoverable, ProjectionLost
from admin_web.projection.projection import Projection
from admin_web.projection.rebuild_outcome import (
    NotNeeded,
    NotRebuilt,
    RebuildSuperseded,
    RebuildUnderWay,
    SuspiciousDrop,
)
from admin_web.projection.wire import RedisUnavailable
from admin_web.record.changes import NotInForce
from admin_web.services.recovery import recover
from admin_web.settings import AdminSettings
from admin_web.worker.decision_archive import IDLE_MS, DecisionArchive
from admin_web.worker.expiry import WORKER
from admin_web.worker.retrying import REFUSED_S, Retrying
from admin_web.worker.steps import Step

POLL_S = 0.1
"""Polling interval, in seconds, for changes that the service could not apply when it recorded them."""

LEASE_S = 1.0
"""Maximum interval between renewals of the lease, in seconds. A short lease is renewed four times within its length."""

LOST_S = 0.5
"""Polling interval, in seconds, while another process rebuilds the projection."""

LEFT_S = 10.0
"""Interval, in seconds, between searches for decisions that were read but not archived."""

SWEEP_S = 600.0

log = structlog.get_logger()


class Keeper:
    """Keeps one projection current. The worker repeats each of its `loops`, and `sweep` while its clock is right."""

    def __init__(self, projection: Projection, settings: AdminSettings) -> None:
        self._projection = projection
        self._lease_every_s = min(LEASE_S, settings.lease_s / 4 or LEASE_S)
        self._lease_due = self._sweep_due = self._recovery_due = 0.0
        self._rebuilding, self._following = Retrying(), Retrying()

    @property
    def loops(self) -> dict[str, Step]:
        """The steps to repeat, by the name of their loop."""
        return {"projection": self.keep, "registries": self.follow}

    async def keep(self) -> float:
        """Apply pending changes, renew the lease when it is due, and rebuild a projection that Redis has lost.

        If Redis has another history than the database, stop calls, and recover what Redis alone blocks.
        """
        try:
            if monotonic() >= self._lease_due:
                await self._projection.renew_lease()
                self._lease_due = monotonic() + self._lease_every_s
            else:
                await self._projection.drain()
        except ForeignHistory as error:
            is_due = monotonic() >= self._recovery_due
            if is_due:  # Before calls stop, so that a crash in between leaves the reason.
                log.error("redis has another history than the database, calls are stopped", why=str(error))
            async with self._projection.sides.store.wire() as wire:
                await end_lease(wire)
            if not is_due:
                raise
            return await self._recover()
        except ProjectionLost:
            if not self._rebuilding.is_due:
                raise
            return await self._rebuild()
        return POLL_S

    async def _recover(self) -> float:
        """Recover what Redis alone blocks, and rebuild it."""
        try:
            await recover(self._projection.sides, WORKER)
        except NotRecoverable as error:
            self._recovery_due = monotonic() + REFUSED_S
            log.error("not recovered, calls stay stopped", why=str(error))
            raise
        except NotInForce:
            self._recovery_due = monotonic() + LOST_S
            raise
        return await self._rebuild()

    async def _rebuild(self) -> float:
        """Rebuild a lost projection, unless another process is rebuilding it or has just done so."""
        try:
            await self._projection.rebuild(only_if_lost=True)
        except (NotNeeded, RebuildUnderWay, RebuildSuperseded):
            return LOST_S
        except NotRebuilt as error:
            self._rebuilding.failed(error)
            if isinstance(error, SuspiciousDrop):
                log.error("rebuild refused, calls stay blocked", why=str(error))
            raise
        self._rebuilding.succeeded()
        self._lease_due = self._sweep_due = monotonic()
        return 0.0

    async def follow(self) -> float:
        """Apply imported registry versions to Redis, unless their importer is doing so.

        If Redis has lost the registries' terms, it may have lost more, so the whole projection is rebuilt.
        """
        if not self._following.is_due:
            return LEASE_S
        lost = await self._projection.terms_lost()
        if lost or await self._projection.behind():
            try:
                await (self._projection.rebuild() if lost else self._projection.follow())
            except (NotRebuilt, RedisUnavailable) as error:
                self._following.failed(error)
                raise
            self._sweep_due = monotonic()
        self._following.succeeded()
        return LEASE_S

    async def sweep(self) -> float:
        """Remove leftovers of earlier generations from Redis, every SWEEP_S seconds."""
        if monotonic() >= self._sweep_due:
            self._sweep_due = monotonic() + SWEEP_S
            await self._projection.sweep()
        return LEASE_S


class Archivist:
    """Archives one stream of decisions to SQL."""

    def __init__(self, archive: DecisionArchive) -> None:
        self._archive = archive
        self._left_due, self._idle_ms = 0.0, 0

    async def step(self) -> float:
        """Archive the next decisions.

        At the start, after a failure and every LEFT_S seconds, also archive unacknowledged ones.
        """
        # The idle time stays 0 if this step fails, so the next step claims unacknowledged entries at once.
        idle_ms, self._idle_ms = self._idle_ms, 0
        if not idle_ms or monotonic() >= self._left_due:
            await self._archive.archive_left(idle_ms)
            self._left_due = monotonic() + LEFT_S
        await self._archive.archive_new()
        self._idle_ms = IDLE_MS
        return 0.0
