"""The worker, the one process that must run beside the gate: it keeps the projection current and archives decisions.

It survives outages of Redis and SQL, also at its start: it logs one line, keeps retrying, and logs when they are back.
Two workers can run at the same time, because turns and the consumer group divide the work between them.
"""

from admin_web.projection.clock_watch import WATCH_S, ClockWatch
from admin_web.projection.projection import Projection
from admin_web.record.changes import Records
from admin_web.record.database import Database
from admin_web.record.steady_clock import DIFFERS, SteadyClock
from admin_web.services.job_claims import worker_name
from admin_web.settings import AdminSettings
from admin_web.worker import metrics
from admin_web.worker.counts import Unarchived, UnseenRecoveries
from admin_web.worker.courier import Courier
from admin_web.worker.housekeeping import Housekeeping
from admin_web.worker.jobs.run import Tools
from admin_web.worker.jobs.runner import Runner
from admin_web.worker.jobs.work import WORK
from admin_web.worker.loop_states import LoopStates
from admin_web.worker.metrics import Metrics
from admin_web.worker.repeating import Repeater
from admin_web.worker.shards import Shards
from admin_web.worker.start import until_usable
from admin_web.worker.steps import Step
from admin_web.worker.telephony import Telephony


class Worker:
    """Runs every loop until `stop` is called."""

    def __init__(
        self, database: Database, projection: Projection, settings: AdminSettings, clock: SteadyClock | None = None
    ) -> None:
        self._database, self._projection = database, projection
        self.clock = clock or SteadyClock()
        records = Records(database, projection, self.clock.now, settings.consent_rules)
        self.loops = LoopStates()
        self._repeater = Repeater(self.loops)
        self._shards = Shards(database, projection, settings, self.clock, self._repeater)
        self._housekeeping = Housekeeping(records, projection, settings, self.clock)
        self._watch = ClockWatch(self.clock, database, projection.sides.store, reports=True)
        tools, name = Tools(records, projection, settings), worker_name()
        self._runners = {
            f"jobs: {kind.name}": Runner(kind, work, tools, name, lambda: self.clock.right)
            for kind, work in WORK.items()
        }
        self._courier = Courier(database, settings, self.clock.now)
        self._telephony = Telephony(records, settings)
        self._unarchived = Unarchived(lambda: self._shards.streams)
        self._recoveries = UnseenRecoveries(database)

    @property
    def metrics(self) -> Metrics:
        """The metrics of this worker."""
        return Metrics(
            lambda: metrics.of_loops(self.loops),
            lambda: metrics.of_clock(self.clock),
            lambda: metrics.of_comparisons(self._shards.checked),
            lambda: metrics.of_unarchived(self._unarchived.backlog),
            lambda: metrics.of_recoveries(self._recoveries.waiting),
        )

    def stop(self) -> None:
        """End every loop after its current step."""
        self._repeater.stop()

    async def run(self) -> None:
        """Run until stopped. Steps that then take too long are cancelled, and the next worker resumes their work.

        Raises SchemaMismatch, WrongDatabase.
        """
        await until_usable(self._database, self._projection, self._repeater)
        self._repeater.start(self._steps())
        await self._repeater.run()
        await self._courier.close()
        await self._telephony.close()

    def _steps(self) -> dict[str, Step]:
        """Return the steps that do not depend on the shards, by the name of their loop."""
        return {
            "redis": self._shards.step,
            "clock": self._watch.step,
            "webhooks": self._send_webhooks,
            "unarchived": self._unarchived.step,
            "recoveries": self._recoveries.step,
            **self._housekeeping.loops,
            **self._telephony.loops,
            **{name: runner.step for name, runner in self._runners.items()},
        }

    async def _send_webhooks(self) -> float:
        """Send due webhooks. Receivers refuse a signature with a wrong time, and then a delivery would be given up."""
        return WATCH_S if self.clock.doubt == DIFFERS else await self._courier.step()
