"""One number: the lists it stands on, its entries over time, and what lifting it would open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import facts_on_record
from admin_web.queries.lists import ListEntry, entries_of
from admin_web.record.database import Database
from admin_web.record.models import Lead
from compliance.numbers import E164, LeadId
from compliance.policy import Facts, decide
from compliance.redis_schema import INTERNAL
from compliance.terms import unchecked
from compliance.verdict import Ruling, Verdict

MOST_LEADS = 100
"""Leads on the number that are shown."""


@dataclass(frozen=True, slots=True)
class LeadThere:
    """A lead on the number: whether it may be dialled, and whether it might if the number were lifted."""

    id: LeadId
    name: str
    dialable: bool
    dialable_if_lifted: bool


@dataclass(frozen=True, slots=True)
class ListedNumber:
    """All that the page of a number shows. `more_leads`: there are more of them than are shown.

    `ruling` is that of the gate on a call to it for no lead, `if_lifted` what that would be if it were lifted.
    """

    number: E164
    lists: tuple[str, ...]
    ruling: Ruling
    if_lifted: Ruling
    entries: Sequence[ListEntry]
    leads: Sequence[LeadThere]
    more_leads: bool

    @property
    def standing(self) -> ListEntry | None:
        """The entry that stands on the company's own list, if one does."""
        return next((one for one in self.entries if one.lifted_at is None and one.list_name == INTERNAL), None)

    @property
    def other_lists(self) -> tuple[str, ...]:
        """The lists that it stands on whatever becomes of the company's own."""
        return tuple(name for name in self.lists if name != INTERNAL)

    @property
    def blocked(self) -> bool:
        """Tell whether it is blocked, but for leads with an override."""
        return self.ruling.verdict is Verdict.BLOCK

    @property
    def unchecked(self) -> str:
        """Say why nobody can tell whether it is listed; empty when that is known."""
        return unchecked(self.ruling)

    @property
    def opened(self) -> Sequence[LeadThere]:
        """The leads that become dialable when the number is lifted."""
        return [lead for lead in self.leads if lead.dialable_if_lifted and not lead.dialable]


async def listed_number(database: Database, number: E164, at: datetime) -> ListedNumber:
    """Read what is known of a number at `at` (aware UTC). Raises DatabaseUnavailable."""
    async with database.read() as session:
        names = await _leads_on(session, number)
        bare, *facts = await facts_on_record(session, [(number, None), *((number, lead) for lead, _ in names)], at)
        entries = await entries_of(session, number)
    leads = [_lead_there(lead, name, known, at) for (lead, name), known in zip(names, facts, strict=True)]
    ruling, if_lifted = decide(number, bare, at), decide(number, _lifted(bare), at)
    return ListedNumber(number, bare.listed, ruling, if_lifted, entries, leads[:MOST_LEADS], len(leads) > MOST_LEADS)


async def _leads_on(session: AsyncSession, number: E164) -> list[tuple[LeadId, str]]:
    found = select(Lead.id, Lead.name).where(Lead.number == number).order_by(Lead.id).limit(MOST_LEADS + 1)
    return [(LeadId(lead), name) for lead, name in await session.execute(found)]


def _lead_there(lead: LeadId, name: str, facts: Facts, at: datetime) -> LeadThere:
    return LeadThere(lead, name, _dialable(facts, at), _dialable(_lifted(facts), at))


def _lifted(facts: Facts) -> Facts:
    return facts._replace(listed=tuple(name for name in facts.listed if name != INTERNAL))


def _dialable(facts: Facts, at: datetime) -> bool:
    return decide(facts.number, facts, at).verdict is Verdict.ALLOW
