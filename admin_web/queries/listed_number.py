"""The page of one number: the lists it is on, its entries, and the leads that lifting it would open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import read_record
from admin_web.queries.lead_state import unchecked_by
from admin_web.queries.lists import ListEntry, entries_of
from admin_web.queries.requests import RequestRow, requests_on
from admin_web.record.database import Database
from admin_web.record.lead_numbers import has_number
from admin_web.record.models import Lead
from compliance import rule
from compliance.facts import Facts
from compliance.numbers import E164, LeadId
from compliance.redis_schema import INTERNAL
from compliance.verdict import Ruling, Verdict

MOST_LEADS = 100
"""Maximum number of leads that the page of a number shows."""


@dataclass(frozen=True, slots=True)
class LeadThere:
    """A lead on the number: whether it may be dialled now, and whether it may be after the number is lifted."""

    id: LeadId
    name: str
    dialable: bool
    dialable_if_lifted: bool


@dataclass(frozen=True, slots=True)
class ListedNumber:
    """The content of a number's page. `more_leads` means that there are more leads than shown.

    `ruling` is the gate's ruling on a call without a lead; `if_lifted` is what it would be after lifting the number.
    `unchecked` is why it is unknown whether the number is listed, empty when it is known. `final` are the blocks that
    no override opens. `pattern` is the pattern of the company's own list that covers the number, empty if there is
    none. `elsewhere` has the campaign lists that it is on, each with the campaigns for which it blocks calls.
    """

    number: E164
    lists: tuple[str, ...]
    ruling: Ruling
    if_lifted: Ruling
    entries: Sequence[ListEntry]
    requests: Sequence[RequestRow]
    leads: Sequence[LeadThere]
    more_leads: bool
    unchecked: str
    final: Sequence[Ruling]
    pattern: str
    elsewhere: Mapping[str, Sequence[str]]

    @property
    def standing(self) -> ListEntry | None:
        """The current entry on the company's own list, if there is one."""
        return next((one for one in self.entries if one.lifted_at is None and one.list_name == INTERNAL), None)

    @property
    def campaign_entries(self) -> Sequence[ListEntry]:
        """The current entries on campaign lists."""
        return [one for one in self.entries if one.lifted_at is None and one.list_name in self.elsewhere]

    @property
    def other_lists(self) -> tuple[str, ...]:
        """The lists that it is on, other than the company's own."""
        return tuple(name for name in self.lists if name != INTERNAL)

    @property
    def blocked(self) -> bool:
        """Whether a call to the number without a lead is blocked."""
        return self.ruling.verdict is Verdict.BLOCK

    @property
    def opened(self) -> Sequence[LeadThere]:
        """The leads that become dialable if the number is lifted."""
        return [lead for lead in self.leads if lead.dialable_if_lifted and not lead.dialable]


async def listed_number(database: Database, number: E164, at: datetime) -> ListedNumber:
    """Return the page of a number at `at` (aware UTC). Raises DatabaseUnavailable."""
    async with database.read() as session:
        names = await _leads_on(session, number)
        record = await read_record(session, [(number, None), *((number, lead) for lead, _ in names)], at)
        bare, *facts = record.facts
        entries, requests = await entries_of(session, number), await requests_on(session, number)
    leads = [_lead_there(lead, name, known, at) for (lead, name), known in zip(names, facts, strict=True)]
    return ListedNumber(
        number=number,
        lists=bare.listed,
        ruling=rule.judge(bare, at),
        if_lifted=rule.judge(_lifted(bare), at),
        entries=entries,
        requests=requests,
        leads=leads[:MOST_LEADS],
        more_leads=len(leads) > MOST_LEADS,
        unchecked=unchecked_by(bare, at),
        final=[one.ruling for one in rule.objections(bare, at) if not one.check.opens_by_override],
        pattern=bare.applying.pattern if bare.applying else "",
        elsewhere=record.elsewhere[number],
    )


async def _leads_on(session: AsyncSession, number: E164) -> list[tuple[LeadId, str]]:
    found = select(Lead.id, Lead.name).where(has_number(number)).order_by(Lead.id).limit(MOST_LEADS + 1)
    return [(LeadId(lead), name) for lead, name in await session.execute(found)]


def _lead_there(lead: LeadId, name: str, facts: Facts, at: datetime) -> LeadThere:
    return LeadThere(lead, name, _dialable(facts, at), _dialable(_lifted(facts), at))


def _lifted(facts: Facts) -> Facts:
    return facts._replace(listed=tuple(name for name in facts.listed if name != INTERNAL))


def _dialable(facts: Facts, at: datetime) -> bool:
    return rule.judge(facts, at).verdict is Verdict.ALLOW
