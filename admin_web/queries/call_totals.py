"""The number of calls that match a filter, where it can be counted quickly."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.queries.call_coverage import count_unscreened
from admin_web.queries.call_filter import UNSCREENED, CallFilter, decisions_wanted
from admin_web.queries.callers import periods_of
from admin_web.record.database import Database
from admin_web.record.models import CampaignListRow, DecisionRecord, DecisionTotal, Registry
from compliance.rule import sentences
from compliance.verdict import DIALPLAN_REASONS, listed_on
from compliance.zones import quarter_of

MOST_COUNTED = 5_000
"""Maximum number of decisions that are counted one by one. If there are more, a page says "more than"."""

LONGEST_COUNTED = timedelta(days=400)
"""Maximum length of a period whose totals are summed for a page."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Matching decisions by verdict, None when counting would take too long; `more` when the limit was reached.

    `unscreened` counts the unscreened calls of the same period, whatever the other filters.
    """

    unscreened: int
    verdicts: Mapping[str, int] | None = field(default_factory=dict)
    more: bool = False


async def totals(database: Database, wanted: CallFilter) -> Totals:
    """Count the calls that match a filter."""
    async with database.read() as session:
        unscreened = await count_unscreened(session, wanted.since, wanted.until)
        if wanted.verdict == UNSCREENED:
            return Totals(unscreened)
        if wanted.subject:
            verdicts = await _counted(session, wanted)
            return Totals(unscreened, verdicts, more=sum(verdicts.values()) > MOST_COUNTED)
        if _is_of_quarters(wanted):
            return Totals(unscreened, await _added_up(session, wanted))
        return Totals(unscreened, None)


async def known_reasons(database: Database) -> list[str]:
    """Return every reason that a call may have: the gate's, those of registries and campaign lists, the dialplan's."""
    async with database.read() as session:
        registries = await session.scalars(select(Registry.name).order_by(Registry.name))
        own = await session.scalars(select(CampaignListRow.name).order_by(CampaignListRow.name))
        lists = [*registries, *own]
        return list(dict.fromkeys([*sentences(), *map(listed_on, lists), *DIALPLAN_REASONS]))


def _is_of_quarters(wanted: CallFilter) -> bool:
    """Return whether the period consists of whole quarters of an hour, as days of all zones do, and is not too long."""
    if wanted.since is None or wanted.until is None or wanted.until - wanted.since > LONGEST_COUNTED:
        return False
    return all(at == quarter_of(at) for at in (wanted.since, wanted.until))


async def _added_up(session: AsyncSession, wanted: CallFilter) -> Counter[str]:
    added = select(DecisionTotal.verdict, func.sum(DecisionTotal.decisions)).where(
        DecisionTotal.began_at >= wanted.since, DecisionTotal.began_at < wanted.until
    )
    if wanted.verdict:
        added = added.where(DecisionTotal.verdict == wanted.verdict)
    if wanted.reason:
        added = added.where(DecisionTotal.reason == wanted.reason)
    return Counter({row[0]: int(row[1]) for row in await session.execute(added.group_by(DecisionTotal.verdict))})


async def _counted(session: AsyncSession, wanted: CallFilter) -> Counter[str]:
    parts = []
    for period in (None, *await periods_of(session, wanted.agent)):
        conditions = decisions_wanted(session, wanted, wanted.verdict, period)
        part = select(DecisionRecord.verdict).where(*conditions).limit(MOST_COUNTED + 1).subquery()
        parts.append(select(part.c.verdict))
    verdict = union_all(*parts).limit(MOST_COUNTED + 1).subquery().c.verdict
    counted = await session.execute(select(verdict, func.count()).group_by(verdict))
    return Counter({row[0]: row[1] for row in counted})
