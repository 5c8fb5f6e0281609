"""Facts about numbers, read from the system of record in the form that the rule needs.

The gate reads the same facts from Redis as soon as every recorded change is in force.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.listing import lists_of_many
from admin_web.judging.terms import compiled_terms
from admin_web.record.dialect import each_of
from admin_web.record.models import Override
from compliance import rule
from compliance.facts import Facts, LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.redis_schema import INTERNAL
from compliance.terms import Terms

RECORD = State(generation=0, incarnation="sql", lists=(INTERNAL,), changes=0)
"""The state in facts that are read from SQL. It is always complete and current, because every projection is built from
SQL.
"""


class OnRecord(NamedTuple):
    """Facts, and the campaign lists that each number is on, with the campaigns for which they block."""

    facts: list[Facts]
    elsewhere: dict[E164, dict[str, tuple[str, ...]]]


async def facts_on_record(
    session: AsyncSession, calls: Sequence[tuple[E164, LeadId | None]], at: datetime, campaign: str = ""
) -> list[Facts]:
    """Return the facts of each number and lead at `at` (aware UTC), for a campaign, in the order of `calls`."""
    return (await read_record(session, calls, at, campaign)).facts


async def read_record(
    session: AsyncSession, calls: Sequence[tuple[E164, LeadId | None]], at: datetime, campaign: str = ""
) -> OnRecord:
    """Return the same facts, together with the campaign lists that the numbers are on."""
    numbers = {number for number, _ in calls}
    terms, listed = await compiled_terms(session), await lists_of_many(session, numbers)
    known = {number: facts_of(terms, number, listed[number], campaign) for number in numbers}
    closed = {number for number, facts in known.items() if rule.may_open(facts)}
    live = await live_overrides(session, closed, at)
    return OnRecord(
        [
            known[number]._replace(lead=lead, override=live.get((number, lead)) if lead else None)
            for number, lead in calls
        ],
        {number: terms.campaigns_of(lists) for number, lists in listed.items()},
    )


def facts_of(terms: Terms, number: E164, lists: Sequence[str], campaign: str = "") -> Facts:
    """Return the facts of a number that is on these lists, without a lead."""
    applying = terms.applying(number, campaign)
    listed = terms.applicable(applying, lists)
    return Facts(number, None, RECORD.incarnation, RECORD, True, listed, None, applying, campaign)


async def campaigns_blocked(session: AsyncSession, numbers: Collection[E164]) -> dict[E164, dict[str, tuple[str, ...]]]:
    """Return for each number the campaign lists that it is on, each with its campaigns."""
    terms = await compiled_terms(session)
    listed = await lists_of_many(session, numbers) if terms.campaign_lists else {}
    return {number: terms.campaigns_of(listed.get(number, ())) for number in numbers}


async def objections_to(session: AsyncSession, number: E164, lead: LeadId | None, at: datetime) -> list[rule.Objection]:
    """Return every check that would block this call at `at` (aware UTC) without an override, with its reason."""
    (facts,) = await facts_on_record(session, [(number, lead)], at)
    return rule.objections(facts, at)


async def live_overrides(
    session: AsyncSession, numbers: Collection[E164], at: datetime
) -> dict[tuple[E164, LeadId], LiveOverride]:
    """Return the live overrides on these numbers.

    If a lead has several, only the one that lasts longest is returned.
    """
    if not numbers:
        return {}
    live = select(Override.number, Override.lead_id, Override.id, Override.basis, Override.expires_at).where(
        Override.number.in_(select(each_of(session, numbers))), *Override.opening(at)
    )
    return {
        (E164(number), LeadId(lead)): LiveOverride(str(override_id), basis, expires_at)
        for number, lead, override_id, basis, expires_at in await session.execute(live.order_by(Override.expires_at))
    }
