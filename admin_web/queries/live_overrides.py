"""The overrides that are live."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from admin_web.record.database import Database
from admin_web.record.models import Override


async def every_live_override(database: Database, at: datetime) -> Sequence[Override]:
    """Return the overrides that are live at `at` (aware UTC), in the order in which they were placed.

    Raises DatabaseUnavailable.
    """
    async with database.read() as session:
        return list(await session.scalars(select(Override).where(*Override.live(at)).order_by(Override.id)))
