"""The worker, the one process that must run beside the gate: it keeps the projection current and archives decisions.

It survives outages of Redis and SQL, also at its start: it logs one line, keeps retrying, and logs when they are back.
Two workers can run at the same time, because turns and the consumer group divide the work between them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from admin_web.documents import DocumentsUnavailable, documents_of
from admin_web.lists.import_jobs import sweep_sheets
from admin_web.lists.registries.leftovers import sweep_versions
from admin_web.lists.sheet_store import SheetStore
from admin_web.pbx.ami import PbxTrouble
from admin_web.projection.clock_watch import WATCH_S, ClockWatch
from admin_web.projection.health import backlog_of
from admin_web.projection.projection import Projection
from admin_web.projection.rebuild_outcome import NotRebuilt
from admin_web.projection.store import Store
from admin_web.record.changes import NotInForce, Records
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.database_faults import WrongDatabase
from admin_web.record.schema import require_current
from admin_web.record.steady_clock import DIFFERS, SteadyClock
from admin_web.services.documents import TooManyOrphans, sweep_documents
from admin_web.services.ending import lift_ended
from admin_web.services.importing import end_abandoned
from admin_web.services.job_claims import worker_name
from admin_web.services.recovery import unseen
from admin_web.settings import AdminSettings
from admin_web.worker.call_details.places import CdrFileUnreadable
from admin_web.worker.courier import Courier
from admin_web.worker.decision_archive import DecisionArchive
from admin_web.worker.expiry import WORKER, record_expiries
from admin_web.worker.jobs.run import Tools
from admin_web.worker.jobs.runner import Runner
from admin_web.worker.jobs.work import WORK
from admin_web.worker.keeper import Archivist, Keeper, Step
from admin_web.worker.loop_states import RETRY_S, LoopStates
from admin_web.worker.retention import forget
from admin_web.worker.telephony import Telephony
from admin_web.worker.verifier import Checked, Verifier
from compliance.outage import Outage

FORGET_S = 600.0
DOCUMENTS_S = 3600.0
SHEETS_S = 3600.0
VERSIONS_S = 60.0
IMPORTS_S = 60.0
ANALYZE_S = 3600.0
RECOVERIES_S = 10.0
EXPIRIES_S = 10.0
"""Interval between searches for expired overrides, in seconds. It delays only the audit event, not the expiry itself.
"""

ENDS_S = 10.0
"""Interval between searches for entries that have ended, in seconds. Such a number stays blocked until it is lifted."""

UNARCHIVED_S = 1.0
"""Interval between counts of the decisions that Redis alone holds, in seconds."""

ARRANGE_S = 1.0
"""Interval, in seconds, at which the shards of Redis are listed again."""

STOP_S = 1.0
"""Seconds that running steps get to finish when the worker stops. They may be cancelled or killed without harm."""

AWAY = (NotInForce, NotRebuilt, DatabaseUnavailable, DocumentsUnavailable, PbxTrouble, CdrFileUnreadable)
"""Exceptions of expected outages. Any other exception is a bug, and is logged with its traceback."""

log = structlog.get_logger()


class Worker:
    """Runs every loop until `stop` is called."""

    def __init__(
        self, database: Database, projection: Projection, settings: AdminSettings, clock: SteadyClock | None = None
    ) -> None:
        self._projection, self._settings = projection, settings
        self.clock = clock or SteadyClock()
        self._records = Records(database, projection, self.clock.now, settings.consent_rules)
        self._documents = documents_of(settings)
        tools, name = Tools(self._records, projection, settings), worker_name()
        self._runners = {
            f"jobs: {kind.name}": Runner(kind, work, tools, name, lambda: self.clock.right)
            for kind, work in WORK.items()
        }
        self._courier = Courier(database, settings, self.clock.now)
        self._telephony = Telephony(self._records, settings)
        self._database, self._sheets = database, SheetStore.of(settings)
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self.loops = LoopStates(self.clock)
        self._streams: Sequence[Store] = ()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End every loop after its current step."""
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped. Steps that then take too long are cancelled, and the next worker resumes their work.

        Raises SchemaMismatch, WrongDatabase.
        """
        await self._until_usable()
        judging_age: dict[str, Step] = {"retention": self._forget, "expiries": self._record_expiries}
        judging_age |= {"documents": self._sweep_documents, "sheets": self._sweep_sheets}
        judging_age |= {"versions": self._sweep_versions, "imports": self._end_imports, "ends": self._lift_ended}
        loops = {name: self._by_a_right_clock(step) for name, step in judging_age.items()}
        watch = ClockWatch(self.clock, self._database, self._projection.sides.store, tells=True)
        loops |= {"clock": watch.step, "webhooks": self._send_webhooks, "statistics": self._analyze}
        loops |= {"unarchived": self._count_unarchived, "recoveries": self._count_recoveries}
        loops |= self._telephony.loops
        loops |= {name: runner.step for name, runner in self._runners.items()}
        tasks = [asyncio.create_task(self._repeat(name, step)) for name, step in loops.items()]
        tasks.append(asyncio.create_task(self._repeat("redis", self._arrange)))
        await self._stop.wait()
        tasks += self._keeping.values()
        _, late = await asyncio.wait(tasks, timeout=STOP_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._courier.close()
        await self._telephony.close()

    async def _until_usable(self) -> None:
        """Wait until SQL and Redis can be used. Raises SchemaMismatch, WrongDatabase."""
        outage, tries = Outage("worker waits", "worker starts after waiting"), 0
        while not self._stop.is_set():
            try:
                await require_current(self._database)
                await self._projection.require_fit()
            except WrongDatabase:
                raise
            except AWAY as error:
                outage.note(str(error))
                await self._pause(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
            else:
                outage.end()
                return

    async def _arrange(self) -> float:
        """Start the loops of each new shard of Redis, and cancel those of each shard that no longer exists."""
        wanted: dict[str, Step] = {}
        for one in await self._projection.shards():
            name, keeper = _name_of(one.sides.store), Keeper(one, self._settings)
            wanted |= {f"{loop}{name}": step for loop, step in keeper.loops.items()}
            checked = self.loops.checked.setdefault(name, Checked())
            verifier = Verifier(one, self._settings, self.clock.now, checked)
            wanted[f"verify{name}"] = verifier.step
            wanted[f"sweep{name}"] = self._by_a_right_clock(keeper.sweep)
        self._streams = await self._projection.streams()
        for store in self._streams:
            wanted[f"archive{_name_of(store)}"] = Archivist(DecisionArchive(self._database, store, self.clock.now)).step
        for name in self._keeping.keys() - wanted.keys():
            self._keeping.pop(name).cancel()
            self.loops.forget(name)
        for name in wanted.keys() - self._keeping.keys():
            self._keeping[name] = asyncio.create_task(self._repeat(name, wanted[name]))
        return ARRANGE_S

    async def _count_unarchived(self) -> float:
        """Count the decisions that Redis alone holds, also while SQL is away."""
        if self._streams:
            self.loops.unarchived = await backlog_of(self._streams)
        return UNARCHIVED_S

    async def _repeat(self, name: str, step: Callable[[], Awaitable[float]]) -> None:
        """Repeat a step until the worker stops, with the pause that each step returns."""
        state = self.loops.of(name)
        while not self._stop.is_set():
            try:
                wait_s = await step()
                state.succeed()
            except AWAY as error:
                wait_s = state.fail(error)
            except Exception as error:  # A bug in one loop must not end the others, which renew the lease.
                log.exception("failed", loop=name)
                wait_s = state.fail(error)
            await self._pause(wait_s)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def _by_a_right_clock(self, step: Step) -> Step:
        """Return the step of a loop that deletes what is old, or records an end: it waits while the clock is wrong."""

        async def waiting() -> float:
            return await step() if self.clock.right else WATCH_S

        return waiting

    async def _send_webhooks(self) -> float:
        """Send due webhooks. Receivers refuse a signature with a wrong time, and then a delivery would be given up."""
        return WATCH_S if self.clock.doubt == DIFFERS else await self._courier.step()

    async def _record_expiries(self) -> float:
        """Record expired overrides."""
        await record_expiries(self._records, await self._projection.time())
        return EXPIRIES_S

    async def _lift_ended(self) -> float:
        """Lift entries that have ended. While more are left, other writers get their turns in between."""
        some = await lift_ended(self._records, WORKER, await self._projection.time())
        return self._database.pause_s if some else ENDS_S

    async def _sweep_documents(self) -> float:
        """Delete uploaded documents that no override uses."""
        try:
            await sweep_documents(self._database, self._documents, self.clock.now())
        except TooManyOrphans as error:
            log.error("documents not swept", why=str(error))
        return DOCUMENTS_S

    async def _sweep_sheets(self) -> float:
        """Delete old uploaded sheets that no open job needs."""
        await sweep_sheets(self._database, self._sheets, self.clock.now())
        return SHEETS_S

    async def _end_imports(self) -> float:
        """Write the audit events of imports that were interrupted."""
        await end_abandoned(self._records)
        return IMPORTS_S

    async def _count_recoveries(self) -> float:
        """Count the recoveries that wait for an admin, for the metrics."""
        async with self._database.read() as session:
            self.loops.unseen_recoveries = await unseen(session)
        return RECOVERIES_S

    async def _sweep_versions(self) -> float:
        """Delete the data of registry imports that were interrupted."""
        await sweep_versions(self._database, self.clock.now())
        return VERSIONS_S

    async def _analyze(self) -> float:
        """Update the statistics of the database's query planner."""
        await self._database.analyze()
        return ANALYZE_S

    async def _forget(self) -> float:
        """Delete expired short-lived data from SQL."""
        await forget(self._database, self.clock.now())
        return FORGET_S


def _name_of(store: Store) -> str:
    """Return the suffix for a loop's name: the shard's lowest slot in a cluster, else empty."""
    return "" if store.keys.first_slot is None else f" of slot {store.keys.first_slot}"
