"""The start of the worker: it waits until SQL and Redis can be used."""

from admin_web.projection.projection import Projection
from admin_web.record.database import Database
from admin_web.record.database_faults import WrongDatabase
from admin_web.record.schema import require_current
from admin_web.worker.loop_states import retry_s
from admin_web.worker.repeating import AWAY, Repeater
from compliance.outage import Outage


async def until_usable(database: Database, projection: Projection, repeater: Repeater) -> None:
    """Wait until SQL and Redis can be used, or the worker is stopped. Raises SchemaMismatch, WrongDatabase."""
    outage, failures = Outage("worker waits", "worker starts after waiting"), 0
    while not repeater.stopped:
        try:
            await require_current(database)
            await projection.require_fit()
        except WrongDatabase:
            raise
        except AWAY as error:
            outage.note(str(error))
            failures += 1
            await repeater.pause(retry_s(failures))
        else:
            outage.end()
            return
