"""The dial queue: the leads to call next, each judged when it is read, by the gate's rule on the gate's facts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import campaigns_blocked
from admin_web.projection.projection import Projection
from admin_web.projection.wire import RedisUnavailable
from admin_web.record.database import Database
from admin_web.record.lead_numbers import further_numbers
from admin_web.record.models import Lead, UtcDateTime
from admin_web.record.models.suppression import NEVER
from compliance.facts import Facts
from compliance.numbers import E164, LeadId
from compliance.rule import decide, stops_every_call
from compliance.terms import unchecked
from compliance.verdict import Reason, Ruling, Verdict

PAGE = 25
"""Default number of leads on a page."""

LOOKED_AT_ONCE = 250
"""Leads judged in one exchange with Redis."""

MOST_LOOKED_AT = 2_000
"""Maximum number of leads that are judged for one page, so that many blocked leads in a row do not delay it."""


class QueuePosition(NamedTuple):
    """A position in the queue: just behind `lead`, which was called at `last_called_at` (aware UTC)."""

    last_called_at: datetime
    lead: LeadId


@dataclass(frozen=True, slots=True)
class Offer:
    """A lead that may be dialled now, and the reason; `last_called_at` is None when it never was called.

    `numbers` are the lead's numbers that may be dialled, in its order. `number` is the first of them, and `reason` and
    `override` are about it. `all_numbers` are all numbers of the lead, as they were judged. `unchecked` is why it is
    unknown whether its number is listed, empty when that is known. `behind_blocked` is how many blocked leads were
    skipped before it on its page. `elsewhere` are the campaigns for which a campaign list blocks one of its numbers.
    """

    lead: LeadId
    name: str
    number: E164
    last_called_at: datetime | None
    reason: Reason
    override: str
    numbers: tuple[E164, ...]
    all_numbers: tuple[E164, ...]
    unchecked: str = ""
    behind_blocked: int = 0
    elsewhere: Sequence[str] = ()

    @property
    def position(self) -> QueuePosition:
        """The position just behind the lead."""
        return QueuePosition(self.last_called_at or NEVER, self.lead)


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Leads to call, longest waiting first. `blocked` is the number of blocked leads that were skipped.

    `behind` is the position of the next page, None at the end of the queue. `doubt` is the ruling that blocks every
    call at this moment; the page is then empty.
    """

    offers: tuple[Offer, ...]
    blocked: int
    behind: QueuePosition | None
    doubt: Ruling | None = None


async def dial_queue(
    database: Database,
    projection: Projection,
    at: datetime,
    *,
    behind: QueuePosition | None = None,
    most: int = PAGE,
    campaign: str = "",
) -> QueuePage:
    """Return up to `most` leads that the gate would let pass at `at` (aware UTC), for a campaign.

    Leads that a dialer has claimed are left out. Raises DatabaseUnavailable.
    """
    async with database.read() as session:
        page = await queue_within(session, projection, at, behind=behind, most=most, campaign=campaign)
        elsewhere = await campaigns_blocked(session, {number for offer in page.offers for number in offer.numbers})
    offers = [
        replace(offer, elsewhere=tuple(_campaigns(elsewhere[number] for number in offer.numbers)))
        for offer in page.offers
    ]
    return replace(page, offers=tuple(offers))


def _campaigns(numbers: Iterable[Mapping[str, Sequence[str]]]) -> list[str]:
    return sorted({campaign for lists in numbers for campaigns in lists.values() for campaign in campaigns})


async def queue_within(
    session: AsyncSession,
    projection: Projection,
    at: datetime,
    *,
    behind: QueuePosition | None = None,
    most: int = PAGE,
    campaign: str = "",
) -> QueuePage:
    """Return the same as `dial_queue`, read within a transaction, and without `elsewhere`."""
    offers: list[Offer] = []
    looked_at = 0
    while looked_at < MOST_LOOKED_AT:
        leads = await _waiting(session, behind, at, LOOKED_AT_ONCE)
        for lead, rulings in zip(leads, await _rulings(projection, leads, at, campaign), strict=True):
            for ruling in rulings:
                if ruling.verdict is Verdict.BLOCK and stops_every_call(ruling.reason):
                    return QueuePage((), 0, None, ruling)
            looked_at, behind = looked_at + 1, lead.position
            if any(ruling.verdict is Verdict.ALLOW for ruling in rulings):
                offers.append(lead.offered(rulings, looked_at - 1 - len(offers)))
            if len(offers) == most:
                return QueuePage(tuple(offers), looked_at - most, behind)
        if len(leads) < LOOKED_AT_ONCE:
            return QueuePage(tuple(offers), looked_at - len(offers), None)
    return QueuePage(tuple(offers), looked_at - len(offers), behind)


class _Waiting(NamedTuple):
    last_called_at: datetime
    id: LeadId
    name: str
    numbers: tuple[E164, ...]

    @property
    def position(self) -> QueuePosition:
        return QueuePosition(self.last_called_at, self.id)

    def offered(self, rulings: Sequence[Ruling], behind_blocked: int) -> Offer:
        """Return the offer of this lead. `rulings` are those on its numbers; at least one of them is ALLOW."""
        called = None if self.last_called_at == NEVER else self.last_called_at
        open_ = [pair for pair in zip(self.numbers, rulings, strict=True) if pair[1].verdict is Verdict.ALLOW]
        number, ruling = open_[0]
        return Offer(
            self.id, self.name, number, called, ruling.reason, ruling.override, tuple(one for one, _ in open_),
            self.numbers, unchecked(ruling), behind_blocked,
        )  # fmt: skip


async def _waiting(session: AsyncSession, behind: QueuePosition | None, at: datetime, most: int) -> list[_Waiting]:
    """Read the next leads in the order of the queue, which is the order of its index, without those claimed at `at`."""
    position = tuple_(Lead.last_called_at, Lead.id)
    waiting = select(Lead.last_called_at, Lead.id, Lead.name, Lead.number).where(Lead.queued.is_(True))
    waiting = waiting.where(or_(Lead.claimed_until.is_(None), Lead.claimed_until <= at))
    if behind is not None:
        waiting = waiting.where(position > tuple_(literal(behind.last_called_at, UtcDateTime), literal(behind.lead)))
    rows = await session.execute(waiting.order_by(Lead.last_called_at, Lead.id).limit(most))
    found = [(at, LeadId(lead), name, E164(number)) for at, lead, name, number in rows]
    others = await further_numbers(session, [lead for _, lead, _, _ in found])
    return [
        _Waiting(at, lead, name, (first, *(one.number for one in others.get(lead, ()))))
        for at, lead, name, first in found
    ]


async def _rulings(projection: Projection, leads: list[_Waiting], at: datetime, campaign: str) -> list[list[Ruling]]:
    """Judge each number of each lead as the gate would judge a call to it."""
    calls = [(number, lead.id) for lead in leads for number in lead.numbers]
    facts: Sequence[Facts | None]
    try:
        facts = await projection.facts(calls, campaign)
    except RedisUnavailable:
        facts = [None] * len(calls)
    rulings = iter([decide(number, known, at) for (number, _), known in zip(calls, facts, strict=True)])
    return [[next(rulings) for _ in lead.numbers] for lead in leads]
