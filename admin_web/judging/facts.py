"""What the system of record says of numbers, in the form that the rule judges.

SQL is the truth that Redis follows: this is what the gate will be told as soon as every change is in force.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.listing import lists_of_many
from admin_web.judging.terms import compiled_terms
from admin_web.record.dialect import each_of
from admin_web.record.models import Override
from compliance.numbers import E164, LeadId
from compliance.policy import Facts, LiveOverride, State, decide
from compliance.redis_schema import INTERNAL
from compliance.verdict import Ruling

RECORD = State(generation=0, incarnation="sql", lists=(INTERNAL,), changes=0)
"""The record stands for itself: it is what every build of the projection is made from."""


async def facts_on_record(
    session: AsyncSession, asked: Sequence[tuple[E164, LeadId | None]], at: datetime
) -> list[Facts]:
    """Give the facts of each number for its lead, in their order, as of `at` (aware UTC)."""
    numbers = {number for number, _ in asked}
    terms, listed = await compiled_terms(session), await lists_of_many(session, numbers)
    applying = {number: terms.applying(number) for number in numbers}
    live = await live_overrides(
        session, {number for number in numbers if listed[number] or applying[number].may_block}, at
    )
    return [
        Facts(
            number=number,
            lead=lead,
            server=RECORD.incarnation,
            state=RECORD,
            leased=True,
            listed=terms.those_applying(applying[number], listed[number]),
            override=live.get((number, lead)) if lead else None,
            applying=applying[number],
        )
        for number, lead in asked
    ]


async def ruling_without_override(session: AsyncSession, number: E164, at: datetime) -> Ruling:
    """Rule at `at` (aware UTC) on a call to a number for a lead that holds no override."""
    (facts,) = await facts_on_record(session, [(number, None)], at)
    return decide(number, facts, at)


async def live_overrides(
    session: AsyncSession, numbers: Collection[E164], at: datetime
) -> dict[tuple[E164, LeadId], LiveOverride]:
    """Find what opens leads on these numbers; of several for one lead, the one that lasts longest."""
    live = select(Override.number, Override.lead_id, Override.id, Override.basis, Override.expires_at).where(
        Override.number.in_(select(each_of(session, numbers))), Override.revoked_at.is_(None), Override.expires_at > at
    )
    return {
        (E164(number), LeadId(lead)): LiveOverride(str(override_id), basis, expires_at)
        for number, lead, override_id, basis, expires_at in await session.execute(live.order_by(Override.expires_at))
    }
