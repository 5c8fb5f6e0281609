"""How many calls a filter finds, where that can be told at once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.queries.call_coverage import count_unscreened
from admin_web.queries.call_filter import UNSCREENED, CallFilter, decisions_wanted
from admin_web.record.database import Database
from admin_web.record.models import DecisionRecord, DecisionTotal, Registry
from compliance.rule import sentences
from compliance.verdict import DIALPLAN_REASONS, listed_on

MOST_COUNTED = 5_000
"""Decisions that are counted one by one; beyond, a page says "more than"."""

LONGEST_COUNTED = timedelta(days=400)
"""The longest period whose hours are added up for a page."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Decisions found by verdict, None when that would take too long; `more` when there are more than counted.

    `unscreened` are the calls of the same period that left without a decision, whatever else was asked for.
    """

    unscreened: int
    verdicts: Mapping[str, int] | None = field(default_factory=dict)
    more: bool = False


async def totals(database: Database, wanted: CallFilter) -> Totals:
    """Count what a filter finds."""
    async with database.read() as session:
        unscreened = await count_unscreened(session, wanted.since, wanted.until)
        if wanted.verdict == UNSCREENED:
            return Totals(unscreened)
        if wanted.subject:
            verdicts = await _counted(session, wanted)
            return Totals(unscreened, verdicts, more=sum(verdicts.values()) > MOST_COUNTED)
        if _is_of_hours(wanted):
            return Totals(unscreened, await _added_up(session, wanted))
        return Totals(unscreened, None)


async def known_reasons(database: Database) -> list[str]:
    """Give every reason that a call may bear: the gate's, the dialplan's, and those of the registries there are."""
    async with database.read() as session:
        registries = await session.scalars(select(Registry.name).order_by(Registry.name))
        return list(dict.fromkeys([*sentences(), *map(listed_on, registries), *DIALPLAN_REASONS]))


def _is_of_hours(wanted: CallFilter) -> bool:
    """Tell whether whole hours make up the period, and not too many of them."""
    if wanted.since is None or wanted.until is None or wanted.until - wanted.since > LONGEST_COUNTED:
        return False
    return all((at.minute, at.second, at.microsecond) == (0, 0, 0) for at in (wanted.since, wanted.until))


async def _added_up(session: AsyncSession, wanted: CallFilter) -> Counter[str]:
    added = select(DecisionTotal.verdict, func.sum(DecisionTotal.decisions)).where(
        DecisionTotal.hour >= wanted.since, DecisionTotal.hour < wanted.until
    )
    if wanted.verdict:
        added = added.where(DecisionTotal.verdict == wanted.verdict)
    if wanted.reason:
        added = added.where(DecisionTotal.reason == wanted.reason)
    return Counter({row[0]: int(row[1]) for row in await session.execute(added.group_by(DecisionTotal.verdict))})


async def _counted(session: AsyncSession, wanted: CallFilter) -> Counter[str]:
    found = (
        select(DecisionRecord.verdict).where(*decisions_wanted(session, wanted, wanted.verdict)).limit(MOST_COUNTED + 1)
    )
    verdict = found.subquery().c.verdict
    counted = await session.execute(select(verdict, func.count()).group_by(verdict))
    return Counter({row[0]: row[1] for row in counted})
