"""What the system of record says of many numbers at once, in the form that the rule judges.

SQL is the truth that Redis follows: this is what the gate will be told as soon as every change is in force.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.services.dialect import each_of
from admin_web.services.listing import Shelf, listed_among, lists_of_many
from admin_web.services.terms import compiled_terms
from compliance.models import Override
from compliance.numbers import E164, InvalidNumber, LeadId
from compliance.policy import Facts, LiveOverride, State, decide
from compliance.redis_schema import INTERNAL
from compliance.terms import Applying
from compliance.verdict import Ruling

_RECORD = State(generation=0, incarnation="sql", lists=(INTERNAL,), changes=0)


async def facts_on_record(
    session: AsyncSession, asked: Sequence[tuple[E164, LeadId | None]], at: datetime
) -> list[Facts]:
    """Give the facts of each number for its lead, in their order, as of `at` (aware UTC)."""
    numbers = {number for number, _ in asked}
    terms, listed = await compiled_terms(session), await lists_of_many(session, numbers)
    applying = {number: terms.applying(number) for number in numbers}
    live = await _live_overrides(
        session, {number for number in numbers if listed[number] or applying[number].may_block}, at
    )
    return [
        Facts(
            number=number,
            lead=lead,
            server=_RECORD.incarnation,
            state=_RECORD,
            leased=True,
            listed=terms.those_applying(applying[number], listed[number]),
            override=live.get((number, lead)) if lead else None,
            applying=applying[number],
        )
        for number, lead in asked
    ]


async def rulings_on_record(
    session: AsyncSession,
    asked: Sequence[tuple[E164 | InvalidNumber, LeadId | None]],
    at: datetime,
    shelf: Shelf | None = None,
) -> list[Ruling]:
    """Rule on many calls at `at` (aware UTC), in their order.

    The rule looks at a number only to see that the facts are that number's own, so numbers of which the same is known
    share one ruling: most of a million stand on no list.
    """
    numbers = {number for number, _ in asked if not isinstance(number, InvalidNumber)}
    terms, listed = await compiled_terms(session), await listed_among(session, numbers, shelf)
    applying = {number: terms.applying(number) for number in numbers}
    live = await _live_overrides(session, {*listed, *_unsure(applying)}, at)
    known: dict[object, Ruling] = {}
    rulings = []
    for number, lead in asked:
        if isinstance(number, InvalidNumber):
            rulings.append(decide(number, None, at))
            continue
        applies, lists = applying[number], listed.get(number, ())
        override = live.get((number, lead)) if lead else None
        alike = id(applies), lists, override
        ruling = known.get(alike)
        if ruling is None:
            lists = terms.those_applying(applies, lists)
            facts = Facts(number, lead, _RECORD.incarnation, _RECORD, True, lists, override, applies)
            ruling = known[alike] = decide(number, facts, at)
        rulings.append(ruling)
    return rulings


def _unsure(applying: Mapping[E164, Applying]) -> set[E164]:
    """Name the numbers that may be blocked on no list. Few things apply, each to many numbers."""
    blocking = {id(applies) for applies in {id(one): one for one in applying.values()}.values() if applies.may_block}
    return {number for number, applies in applying.items() if id(applies) in blocking} if blocking else set()


async def ruling_without_override(session: AsyncSession, number: E164, at: datetime) -> Ruling:
    """Rule at `at` (aware UTC) on a call to a number for a lead that holds no override."""
    (ruling,) = await rulings_on_record(session, [(number, None)], at)
    return ruling


async def _live_overrides(
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
