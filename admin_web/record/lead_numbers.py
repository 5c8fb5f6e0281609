"""The numbers of leads: the first one is in the lead's row, the others are in a table of their own."""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import ColumnElement, CompoundSelect, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.dialect import each_of
from admin_web.record.models import Lead, LeadNumber
from compliance.numbers import E164, LeadId


class LabelledNumber(NamedTuple):
    """One number of a lead, and its label, such as `mobile`; empty for none."""

    number: E164
    label: str = ""


async def numbers_of(session: AsyncSession, lead: LeadId) -> tuple[LabelledNumber, ...]:
    """Return the numbers of a lead, the first one first; none if the lead does not exist."""
    first = (await session.execute(select(Lead.number, Lead.number_label).where(Lead.id == lead))).one_or_none()
    if first is None:
        return ()
    return (LabelledNumber(E164(first[0]), first[1]), *(await further_numbers(session, [lead])).get(lead, ()))


async def has_telephone(session: AsyncSession, lead: LeadId, number: str) -> bool:
    """Return whether a lead has this number."""
    return any(one.number == number for one in await numbers_of(session, lead))


async def further_numbers(session: AsyncSession, leads: Collection[LeadId]) -> dict[LeadId, list[LabelledNumber]]:
    """Return the numbers of leads beside their first ones, in their order. Leads with one number are left out."""
    one = LeadNumber
    found = select(one.lead_id, one.number, one.label).where(one.lead_id.in_(select(each_of(session, leads))))
    numbers: dict[LeadId, list[LabelledNumber]] = defaultdict(list)
    for lead, number, label in await session.execute(found.order_by(one.lead_id, one.position)):
        numbers[LeadId(lead)].append(LabelledNumber(E164(number), label))
    return dict(numbers)


def has_number(number: E164) -> ColumnElement[bool]:
    """Return the condition for leads that have this number, as the first one or another.

    It is one subquery, because PostgreSQL would scan all leads for an OR of a column and a subquery.
    """
    return Lead.id.in_(leads_on(number))


def leads_on(number: E164) -> CompoundSelect[str]:
    """Return the query for the ids of the leads that have this number."""
    return union_all(
        select(Lead.id).where(Lead.number == number), select(LeadNumber.lead_id).where(LeadNumber.number == number)
    )
