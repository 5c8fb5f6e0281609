"""Hang up calls in progress under a revoked override, wherever it was revoked: site, shell or API.

The revocation itself already blocks further calls. The PBX is queried several times, because a call may still be in
set-up, or its decision may not be archived in SQL yet. While the PBX is unreachable, the query is retried.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select

from admin_web.pbx.pbx import Pbx
from admin_web.record.changes import Records
from admin_web.record.models import Override
from admin_web.services.calling import hang_up_under

POLL_S = 0.5

REVOKED_FOR = timedelta(hours=1)
"""How long after a revocation calls are still searched, in case the worker or the PBX was down before."""

LOOKS_S = (0.0, 1.0, 3.0, 10.0, 30.0)
"""When to query the PBX, in seconds after the revocation was noticed."""


class HangUps:
    """Hangs up calls under overrides that were revoked recently."""

    def __init__(self, records: Records, pbx: Pbx, clock: Callable[[], float]) -> None:
        self._records, self._pbx, self._clock = records, pbx, clock
        self._due: dict[int, list[float]] = {}

    async def step(self) -> float:
        """Hang up the calls that are due. Return the seconds to wait. Raises PbxTrouble, DatabaseUnavailable."""
        await self._note_revoked(self._records.now() - REVOKED_FOR)
        for override_id, looks in self._due.items():
            if looks and looks[0] <= self._clock():
                await hang_up_under(self._records, self._pbx, override_id)
                del looks[0]
        return POLL_S

    async def _note_revoked(self, since: datetime) -> None:
        async with self._records.database.read() as session:
            revoked = set(await session.scalars(select(Override.id).where(Override.revoked_at > since)))
        known = {override_id: looks for override_id, looks in self._due.items() if override_id in revoked}
        began = self._clock()
        self._due = {override_id: [began + look for look in LOOKS_S] for override_id in revoked} | known
