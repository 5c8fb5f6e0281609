"""A claim promises a lead of the dial queue to one dialer for a while. Meanwhile nobody else is offered the lead."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Actor, Change, Records
from admin_web.record.dialect import each_of
from admin_web.record.lead_numbers import numbers_of
from admin_web.record.models import Lead
from admin_web.record.models.suppression import NEVER
from compliance.numbers import E164, LeadId

SHORTEST_S, LONGEST_S = 10, 3600
"""Limits of a lease, in seconds."""


class Offered(Protocol):
    """A lead as the queue offered it."""

    @property
    def lead(self) -> LeadId:
        """Id of the lead."""

    @property
    def all_numbers(self) -> Sequence[E164]:
        """The numbers of the lead, as they were judged."""

    @property
    def last_called_at(self) -> datetime | None:
        """When the lead was last called; None for never."""


class OfferedPage(Protocol):
    """Leads that the queue offered, in its order."""

    @property
    def offers(self) -> Sequence[Offered]:
        """The leads."""


PageT = TypeVar("PageT", bound=OfferedPage)


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed lead, and the end of the lease (aware UTC)."""

    lead: LeadId
    until: datetime


async def claim_first(
    records: Records, actor: Actor, offered: Callable[[AsyncSession], Awaitable[PageT]], lease: timedelta
) -> tuple[PageT, Claim | None]:
    """Claim the first offered lead that nobody else claims at the same time; None if no offered lead is left.

    `offered` reads a page of the queue within the transaction. The page is returned too.
    """
    async with records.change(actor) as change:
        page = await offered(change.session)
        left = {offer.lead: offer for offer in page.offers}
        while left and (row := await _first_free(change, list(left))) is not None:
            offer = left.pop(LeadId(row.id))
            # The lead may have been called, or may have got other numbers, since it was judged.
            numbers = tuple(one.number for one in await numbers_of(change.session, offer.lead))
            if (numbers, row.last_called_at) == (tuple(offer.all_numbers), offer.last_called_at or NEVER):
                row.claimed_until, row.claimed_by = change.at + lease, actor.name
                return page, Claim(offer.lead, row.claimed_until)
    return page, None


async def _first_free(change: Change, leads: Sequence[LeadId]) -> Lead | None:
    """Return the first of the leads that is free, with its row locked. Leads that another claim holds are skipped."""
    free = (
        select(Lead)
        .where(Lead.id.in_(select(each_of(change.session, leads))), Lead.queued.is_(True))
        .where(or_(Lead.claimed_until.is_(None), Lead.claimed_until <= change.at))
        .order_by(Lead.last_called_at, Lead.id)
        .limit(1)
    )
    return await change.session.scalar(free.with_for_update(skip_locked=True))


def release(row: Lead, actor: Actor) -> bool:
    """End the claim of a lead whose row is locked, if it is the actor's own. Returns whether it was."""
    if row.claimed_by != actor.name:
        return False
    row.claimed_until, row.claimed_by = None, ""
    return True
