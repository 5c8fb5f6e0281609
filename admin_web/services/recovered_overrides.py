"""Overrides after a recovery: one opens its lead only if both Redis and SQL hold it.

Redis never holds an override that waits for its review, so it does not show whether one was revoked after the backup.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from sqlalchemy import not_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.truth import LeadOnNumber, all_overrides, owns
from admin_web.record.changes import Change
from admin_web.record.dialect import each_of, insert_into
from admin_web.record.models import LostOverride, Override
from admin_web.services.recovering import Recovering
from compliance.facts import LiveOverride
from compliance.numbers import E164, LeadId

AT_ONCE = 500
"""Overrides per transaction, so that other writers wait only briefly."""


async def hold_waiting(recovering: Recovering) -> None:
    """Hold each override that waits for its review: it may have been revoked, so a review alone must not open it.

    This comes before `hold_overrides`. That step then finds those that were reviewed before they could be held here.
    """
    last: int | None = 0
    while last is not None:
        async with recovering.change() as change:
            last = await _hold_waiting(recovering, change, last)


async def _hold_waiting(recovering: Recovering, change: Change, last: int) -> int | None:
    """Hold the next overrides after the id `last`. Returns the id of the last one; None if there are no more."""
    found = select(Override).where(
        Override.id > last,
        Override.held,
        Override.recovery_id.is_(None),
        Override.reviewed_at.is_(None),
        not_(recovering.since(Override.placed_at, change.at)),
        *Override.live(change.at),
    )
    ordered = found.order_by(Override.id).limit(AT_ONCE).with_for_update()
    waiting = (await change.session.scalars(ordered)).all()
    own = [one for one in waiting if _owns(recovering, E164(one.number))]
    for one in own:
        hold_for_recovery(change, one, recovering.id)
    await recovering.count(change, held=len(own))
    return waiting[-1].id if waiting else None


async def hold_overrides(recovering: Recovering) -> None:
    """Hold each override that Redis lacks, or has with another id or end: it may have been revoked."""
    async with aclosing(_openable(recovering)) as openable:
        async for some in openable:
            if lacking := await recovering.evidence.lacking(some):
                async with recovering.change() as change:
                    await _hold(recovering, change, lacking)


async def _openable(recovering: Recovering) -> AsyncGenerator[Sequence[tuple[LeadOnNumber, LiveOverride]], None]:
    """Yield the overrides that SQL would open on this Redis, in batches."""
    sides = recovering.sides
    some: list[tuple[LeadOnNumber, LiveOverride]] = []
    async with sides.database.read() as session, aclosing(all_overrides(session, sides.now())) as overrides:
        async for one in overrides:
            if _owns(recovering, one[0][0]):
                some.append(one)
            if len(some) >= AT_ONCE:
                yield some
                some = []
    yield some


async def _hold(recovering: Recovering, change: Change, ids: Sequence[int]) -> None:
    """Hold overrides. One that was placed since the recovery began, or that it has held before, is left alone."""
    found = select(Override).where(
        Override.id.in_(ids),
        not_(recovering.since(Override.placed_at, change.at)),
        or_(Override.recovery_id.is_(None), Override.recovery_id != recovering.id),
        *Override.opening(change.at),
    )
    overrides = (await change.session.scalars(found.order_by(Override.id).with_for_update())).all()
    for one in overrides:
        hold_for_recovery(change, one, recovering.id)
        change.project_override(E164(one.number), LeadId(one.lead_id))
    await recovering.count(change, held=len(overrides))


def hold_for_recovery(change: Change, one: Override, recovery: int) -> None:
    """Hold an override for a recovery, and record whether it also waits for its review."""
    waits = {"unreviewed": 1} if one.held and one.recovery_id is None else {}
    one.held, one.recovery_id = True, recovery
    change.audit("hold-override", "override", one.id, lead=one.lead_id, number=one.number, recovery=recovery, **waits)


def _owns(recovering: Recovering, number: E164) -> bool:
    """Return whether the keys of a number belong to this Redis, or shard."""
    shard = recovering.evidence.live.shard
    return shard is None or owns(shard, number)


async def record_lost(recovering: Recovering) -> None:
    """Record the overrides that Redis opened and SQL does not have, so that somebody can place them again."""
    at = recovering.sides.now()
    async for subjects in recovering.evidence.subjects():
        opened = await recovering.evidence.opened(subjects.openings)
        live = [(opening, one) for opening, one in opened.items() if one.expires_at > at]
        if live:
            async with recovering.change() as change:
                known = await _known(change.session, live)
                lost = [one for one in live if (*one[0], one[1].id) not in known]
                await recovering.count(change, lost=await _record(recovering, change, lost))


async def _known(
    session: AsyncSession, overrides: Sequence[tuple[LeadOnNumber, LiveOverride]]
) -> set[tuple[str, str, str]]:
    """Return those overrides that SQL has, live or ended, as (number, lead, id)."""
    numbers = each_of(session, sorted({number for (number, _), _ in overrides}))
    found = select(Override.number, Override.lead_id, Override.id).where(Override.number.in_(select(numbers)))
    return {(number, lead, str(override_id)) for number, lead, override_id in await session.execute(found)}


async def _record(recovering: Recovering, change: Change, lost: Sequence[tuple[LeadOnNumber, LiveOverride]]) -> int:
    rows = [
        {
            "recovery_id": recovering.id,
            "number": number,
            "lead_id": lead,
            "override_id": one.id,
            "basis": one.basis,
            "expires_at": one.expires_at,
        }
        for (number, lead), one in lost
    ]
    if not rows:
        return 0
    insert = insert_into(change.session, LostOverride).on_conflict_do_nothing().returning(LostOverride.lead_id)
    return len((await change.session.scalars(insert, rows)).all())
