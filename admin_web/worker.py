"""The one process that must run beside the gate: it keeps the projection current and archives decisions.

It never dies of Redis or SQL being away: it says so in one line, keeps trying, and says so when they are back. Two of
them do no harm: turns and the consumer group share the work out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog

from admin_web.call_details.places import CdrFileUnreadable
from admin_web.database import Database, DatabaseUnavailable
from admin_web.decision_archive import IDLE_MS, DecisionArchive
from admin_web.documents import DocumentsUnavailable, documents_of
from admin_web.jobs.claims import worker_name
from admin_web.jobs.imports import sweep_sheets
from admin_web.jobs.kinds import KINDS
from admin_web.jobs.run import Tools
from admin_web.jobs.runner import Runner
from admin_web.pbx.link import PbxTrouble
from admin_web.projection.builder import NotRebuilt
from admin_web.projection.live import ProjectionLost
from admin_web.projection.projection import Projection
from admin_web.projection.rebuild import NotNeeded, RebuildUnderWay, SuspiciousDrop
from admin_web.registries.leftovers import sweep_versions
from admin_web.retention import forget
from admin_web.services.documents import TooManyOrphans, sweep_documents
from admin_web.services.expiry import record_expiries
from admin_web.services.records import NotInForce, Records, utc_now
from admin_web.settings import AdminSettings
from admin_web.sheet_store import SheetStore
from admin_web.telephony import Telephony
from admin_web.webhooks.courier import Courier

POLL_S = 0.1
"""How long a change waits that its own service could not apply."""

LEASE_S = 1.0
"""How often the lease is renewed at the least; a short one is renewed four times in its length."""

RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Waits after failures in a row; the last one goes on for ever."""

REFUSED_S = 60.0
FAILED_S = 5.0
"""How long a rebuild that was refused, or that failed for another reason of its own, is not tried again."""

LOST_S = 0.5
"""How often it is asked whether the projection is whole again while somebody else rebuilds it."""

LEFT_S = 10.0
"""How often decisions are looked for that somebody read and did not archive."""

SWEEP_S = 600.0
DOCUMENTS_S = 3600.0
SHEETS_S = 3600.0
VERSIONS_S = 60.0
SIZES_S = 3600.0
EXPIRIES_S = 10.0
"""How often it is looked whether overrides have expired: nothing but the record waits for it."""

STOP_S = 1.0
"""How long a step may take to its end when the worker is told to stop; cutting it off does no harm, nor does a kill."""

AWAY = (NotInForce, NotRebuilt, DatabaseUnavailable, DocumentsUnavailable, PbxTrouble, CdrFileUnreadable)
"""What keeps a loop from its work through no fault of ours: it is tried again."""

log = structlog.get_logger()


class Trouble:
    """What keeps a loop from its work. It is logged when it changes, not each time it is met."""

    def __init__(self, loop: str) -> None:
        self._loop = loop
        self._said = ""
        self._met = 0

    def meet(self, error: Exception) -> float:
        """Take note of a failure; give how many seconds to wait."""
        if str(error) != self._said:
            log.warning("held up", loop=self._loop, trouble=str(error))
        self._said = str(error)
        self._met += 1
        return RETRY_S[min(self._met, len(RETRY_S)) - 1]

    def end(self) -> None:
        """Take note that the work goes on."""
        if self._met:
            log.info("goes on", loop=self._loop)
        self._said, self._met = "", 0


class Worker:
    """Works until told to `stop`."""

    def __init__(self, database: Database, projection: Projection, settings: AdminSettings) -> None:
        self._projection = projection
        self._archive = DecisionArchive(database, projection.sides.store, utc_now)
        self._lease_every_s = min(LEASE_S, settings.lease_s / 4 or LEASE_S)
        self._lease_due = self._left_due = self._rebuild_due = self._sweep_due = self._follow_due = 0.0
        self._idle_ms = 0
        self._records, self._documents = Records(database, projection), documents_of(settings)
        tools, name = Tools(self._records, projection, settings), worker_name()
        self._runners = {f"jobs: {kind.name}": Runner(kind, tools, name) for kind in KINDS.values()}
        self._courier = Courier(database, settings, utc_now)
        self._telephony = Telephony(self._records, settings)
        self._database, self._sheets = database, SheetStore.of(settings)
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End every loop after the step that it is at."""
        self._stop.set()

    async def run(self) -> None:
        """Work until stopped; what then takes too long is cut off, and found again by the next worker."""
        loops = {"projection": self._keep, "archive": self._archive_some, "sweep": self._sweep}
        loops |= {"registries": self._follow}
        loops |= {"webhooks": self._courier.step, "retention": self._forget}
        loops |= {"expiries": self._record_expiries, "documents": self._sweep_documents}
        loops |= {"sheets": self._sweep_sheets, "versions": self._sweep_versions, "sizes": self._note_sizes}
        loops |= self._telephony.loops
        loops |= {name: runner.step for name, runner in self._runners.items()}
        tasks = [asyncio.create_task(self._repeat(name, step)) for name, step in loops.items()]
        await self._stop.wait()
        _, late = await asyncio.wait(tasks, timeout=STOP_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._courier.close()
        await self._telephony.close()

    async def _repeat(self, name: str, step: Callable[[], Awaitable[float]]) -> None:
        """Take one step after the other; each gives how many seconds to wait."""
        trouble = Trouble(name)
        while not self._stop.is_set():
            try:
                wait_s = await step()
                trouble.end()
            except AWAY as error:
                wait_s = trouble.meet(error)
            except Exception as error:  # A fault of ours must not end the lease with it.
                log.exception("failed", loop=name)
                wait_s = trouble.meet(error)
            await self._pause(wait_s)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _keep(self) -> float:
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

    async def _follow(self) -> float:
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

    async def _archive_some(self) -> float:
        """Archive the next decisions; at the start, after a failure, and now and then, also what was left."""
        idle_ms, self._idle_ms = self._idle_ms, 0  # Nothing is waited for in the step after one that fails.
        if not idle_ms or monotonic() >= self._left_due:
            await self._archive.archive_left(idle_ms)
            self._left_due = monotonic() + LEFT_S
        await self._archive.archive_new()
        self._idle_ms = IDLE_MS
        return 0.0

    async def _sweep(self) -> float:
        """Take out of Redis, now and then, what earlier generations have left."""
        if monotonic() >= self._sweep_due:
            self._sweep_due = monotonic() + SWEEP_S
            await self._projection.sweep()
        return LEASE_S

    async def _record_expiries(self) -> float:
        """Put on record which overrides have ended by themselves."""
        await record_expiries(self._records)
        return EXPIRIES_S

    async def _sweep_documents(self) -> float:
        """Take away, now and then, documents that never came on record."""
        try:
            await sweep_documents(self._database, self._documents, utc_now())
        except TooManyOrphans as error:
            log.error("documents not swept", why=str(error))
        return DOCUMENTS_S

    async def _sweep_sheets(self) -> float:
        """Take away, now and then, uploaded lists that nobody imports."""
        await sweep_sheets(self._database, self._sheets, utc_now())
        return SHEETS_S

    async def _sweep_versions(self) -> float:
        """Take away what imports of registries have left that were cut short."""
        await sweep_versions(self._database, utc_now())
        return VERSIONS_S

    async def _note_sizes(self) -> float:
        """Let the database's planner know, now and then, how large the tables have become."""
        await self._database.note_sizes()
        return SIZES_S

    async def _forget(self) -> float:
        """Take out of SQL, now and then, what need not be kept."""
        await forget(self._database, utc_now())
        return SWEEP_S
