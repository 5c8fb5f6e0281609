"""The worker's loops for a configured PBX: read its call-detail records, and hang up calls."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from time import monotonic
from typing import Any

from admin_web.pbx.pbx import Pbx
from admin_web.record.changes import Records
from admin_web.settings import AdminSettings
from admin_web.worker.call_details.reader import CallDetails
from admin_web.worker.hang_ups import HangUps


class Telephony:
    """The worker's loops for one PBX."""

    def __init__(self, records: Records, settings: AdminSettings) -> None:
        self._pbx = Pbx(settings)
        self.loops: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {}
        if settings.cdr_file:
            details = CallDetails(records.database, Path(settings.cdr_file), settings.trunks, records.now)
            self.loops["call details"] = details.step
        if settings.hang_up_on_revocation and self._pbx.configured:
            self.loops["hang-ups"] = HangUps(records, self._pbx, monotonic).step

    async def close(self) -> None:
        """Close the connection to the PBX."""
        await self._pbx.close()
