"""The other leads on a number, counted."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.lead_numbers import has_number
from admin_web.record.models import Lead, Override
from compliance.numbers import E164, LeadId

MOST_COUNTED = 1000
"""Maximum number of other leads that are counted. Very many leads may have the number of the same switchboard."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The other leads on a lead's number: how many there are, up to MOST_COUNTED, and how many hold a live override."""

    leads: int
    open: int

    @property
    def closed(self) -> int:
        """How many of the other leads hold no live override."""
        return max(0, self.leads - self.open)


async def neighbours_of(session: AsyncSession, lead: LeadId, number: E164, at: datetime) -> Neighbours:
    """Count the other leads on a number, and those that hold an override that is live at `at` (aware UTC)."""
    some = select(Lead.id).where(has_number(number), Lead.id != lead).limit(MOST_COUNTED).subquery()
    live = select(func.count(Override.lead_id.distinct())).where(
        Override.number == number, Override.lead_id != lead, *Override.opening(at)
    )
    others = await session.scalar(select(func.count()).select_from(some))
    return Neighbours(others or 0, await session.scalar(live) or 0)
