"""The dial queue: whom to call next. Each lead is judged by the gate's rule, on the gate's facts, when it is read."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.projection import Projection
from admin_web.projection.store import RedisUnavailable
from admin_web.record.database import Database
from admin_web.record.models import Lead, UtcDateTime
from admin_web.record.models.suppression import NEVER
from compliance import verdict
from compliance.numbers import E164, LeadId
from compliance.policy import decide
from compliance.terms import unchecked
from compliance.verdict import Reason, Ruling, Verdict

PAGE = 25
"""Leads on a page unless told."""

LOOKED_AT_ONCE = 250
"""Leads that are judged in one exchange with Redis."""

MOST_LOOKED_AT = 2_000
"""Leads that are judged for one page: a stretch of blocked ones must not hold the reader up."""


class QueuePosition(NamedTuple):
    """A place in the queue: behind the lead that was called then (aware UTC)."""

    last_called_at: datetime
    lead: LeadId


@dataclass(frozen=True, slots=True)
class Offer:
    """A lead that may be dialled now, and why; `last_called_at` is None when it never was.

    `unchecked` says why nobody can tell whether its number is listed, empty when that is known.
    """

    lead: LeadId
    name: str
    number: E164
    last_called_at: datetime | None
    reason: Reason
    override: str
    unchecked: str = ""


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Leads to call, longest waiting first. `blocked` is how many were passed over.

    `behind` is where to look on, None at the end of the queue. With `doubt` nothing is offered: the ruling says why.
    """

    offers: tuple[Offer, ...]
    blocked: int
    behind: QueuePosition | None
    doubt: Ruling | None = None


async def dial_queue(
    database: Database, projection: Projection, at: datetime, *, behind: QueuePosition | None = None, most: int = PAGE
) -> QueuePage:
    """Give up to `most` leads that the gate would let through at `at` (aware UTC). Raises DatabaseUnavailable."""
    offers: list[Offer] = []
    looked_at = 0
    async with database.read() as session:
        while looked_at < MOST_LOOKED_AT:
            leads = await _waiting(session, behind, LOOKED_AT_ONCE)
            for lead, ruling in zip(leads, await _rulings(projection, leads, at), strict=True):
                if ruling.reason in _DOUBTS:
                    return QueuePage((), 0, None, ruling)
                looked_at, behind = looked_at + 1, lead.place
                if ruling.verdict is Verdict.ALLOW:
                    offers.append(lead.offered(ruling))
                if len(offers) == most:
                    return QueuePage(tuple(offers), looked_at - most, behind)
            if len(leads) < LOOKED_AT_ONCE:
                return QueuePage(tuple(offers), looked_at - len(offers), None)
    return QueuePage(tuple(offers), looked_at - len(offers), behind)


_DOUBTS = {verdict.STORE_UNAVAILABLE, verdict.STATE_UNVERIFIED}


class _Waiting(NamedTuple):
    last_called_at: datetime
    id: LeadId
    name: str
    number: E164

    @property
    def place(self) -> QueuePosition:
        return QueuePosition(self.last_called_at, self.id)

    def offered(self, ruling: Ruling) -> Offer:
        called = None if self.last_called_at == NEVER else self.last_called_at
        return Offer(self.id, self.name, self.number, called, ruling.reason, ruling.override, unchecked(ruling))


async def _waiting(session: AsyncSession, behind: QueuePosition | None, most: int) -> list[_Waiting]:
    """Read on in the queue's own order, which is that of its index."""
    place = tuple_(Lead.last_called_at, Lead.id)
    waiting = select(Lead.last_called_at, Lead.id, Lead.name, Lead.number).where(Lead.queued.is_(True))
    if behind is not None:
        waiting = waiting.where(place > tuple_(literal(behind.last_called_at, UtcDateTime), literal(behind.lead)))
    rows = await session.execute(waiting.order_by(Lead.last_called_at, Lead.id).limit(most))
    return [_Waiting(at, LeadId(lead), name, E164(number)) for at, lead, name, number in rows]


async def _rulings(projection: Projection, leads: list[_Waiting], at: datetime) -> list[Ruling]:
    """Judge each lead as the gate would judge a call to it."""
    try:
        found = await projection.facts([(lead.number, lead.id) for lead in leads])
    except RedisUnavailable:
        return [decide(lead.number, None, at) for lead in leads]
    return [decide(lead.number, facts, at) for lead, facts in zip(leads, found, strict=True)]
