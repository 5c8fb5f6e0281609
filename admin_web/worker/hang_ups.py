"""Calls that are up under a revoked override are hung up, by the worker, wherever it was revoked: site, shell or API.

The revocation is in force without this; it keeps further calls from being placed. What it found being set up, or its
decision still on the way to SQL, is met by looking again. When the PBX is away, it is asked when it is back.
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
"""How long after its revocation an override's calls are looked for, by a worker or a PBX that was away."""

LOOKS_S = (0.0, 1.0, 3.0, 10.0, 30.0)
"""When the PBX is asked, counted from the first time."""


class HangUps:
    """Looks after the overrides that were revoked a short while ago."""

    def __init__(self, records: Records, pbx: Pbx, clock: Callable[[], float]) -> None:
        self._records, self._pbx, self._clock = records, pbx, clock
        self._due: dict[int, list[float]] = {}

    async def step(self) -> float:
        """Hang up what is due; give how many seconds to wait. Raises PbxTrouble, DatabaseUnavailable."""
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
