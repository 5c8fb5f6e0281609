"""Housekeeping in SQL: record what has ended, delete what is old, and finish what was interrupted."""

import structlog

from admin_web.documents import documents_of
from admin_web.lists.import_jobs import sweep_sheets
from admin_web.lists.registries.leftovers import sweep_versions
from admin_web.lists.sheet_store import SheetStore
from admin_web.projection.projection import Projection
from admin_web.record.changes import Records
from admin_web.record.steady_clock import SteadyClock
from admin_web.services.documents import TooManyOrphans, sweep_documents
from admin_web.services.ending import lift_ended
from admin_web.services.importing import end_abandoned
from admin_web.settings import AdminSettings
from admin_web.worker.expiry import WORKER, record_expiries
from admin_web.worker.retention import forget
from admin_web.worker.steps import Step, by_a_right_clock

FORGET_S = 600.0
DOCUMENTS_S = 3600.0
SHEETS_S = 3600.0
VERSIONS_S = 60.0
IMPORTS_S = 60.0
ANALYZE_S = 3600.0
EXPIRIES_S = 10.0
"""Interval between searches for expired overrides, in seconds. It delays only the audit event, not the expiry itself.
"""

ENDS_S = 10.0
"""Interval between searches for entries that have ended, in seconds. Such a number stays blocked until it is lifted."""

log = structlog.get_logger()


class Housekeeping:
    """The steps of housekeeping. The worker repeats each of its `loops`."""

    def __init__(self, records: Records, projection: Projection, settings: AdminSettings, clock: SteadyClock) -> None:
        self._records, self._database, self._projection = records, records.database, projection
        self._documents, self._sheets = documents_of(settings), SheetStore.of(settings)
        self._clock = clock

    @property
    def loops(self) -> dict[str, Step]:
        """The steps to repeat, by the name of their loop. Those that judge an age wait while the clock is wrong."""
        judging_age: dict[str, Step] = {
            "expiries": self._record_expiries,
            "ends": self._lift_ended,
            "retention": self._forget,
            "documents": self._sweep_documents,
            "sheets": self._sweep_sheets,
            "versions": self._sweep_versions,
            "imports": self._end_imports,
        }
        careful = {name: by_a_right_clock(self._clock, step) for name, step in judging_age.items()}
        return {**careful, "statistics": self._analyze}

    async def _record_expiries(self) -> float:
        """Record expired overrides."""
        await record_expiries(self._records, await self._projection.time())
        return EXPIRIES_S

    async def _lift_ended(self) -> float:
        """Lift entries that have ended. While more are left, other writers get their turns in between."""
        some = await lift_ended(self._records, WORKER, await self._projection.time())
        return self._database.pause_s if some else ENDS_S

    async def _forget(self) -> float:
        """Delete expired short-lived data from SQL."""
        await forget(self._database, self._clock.now())
        return FORGET_S

    async def _sweep_documents(self) -> float:
        """Delete uploaded documents that no override uses."""
        try:
            await sweep_documents(self._database, self._documents, self._clock.now())
        except TooManyOrphans as error:
            log.error("documents not swept", why=str(error))
        return DOCUMENTS_S

    async def _sweep_sheets(self) -> float:
        """Delete old uploaded sheets that no open job needs."""
        await sweep_sheets(self._database, self._sheets, self._clock.now())
        return SHEETS_S

    async def _sweep_versions(self) -> float:
        """Delete the data of registry imports that were interrupted."""
        await sweep_versions(self._database, self._clock.now())
        return VERSIONS_S

    async def _end_imports(self) -> float:
        """Write the audit events of imports that were interrupted."""
        await end_abandoned(self._records)
        return IMPORTS_S

    async def _analyze(self) -> float:
        """Update the statistics of the database's query planner."""
        await self._database.analyze()
        return ANALYZE_S
