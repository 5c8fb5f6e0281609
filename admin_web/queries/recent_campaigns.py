"""Which campaigns the latest calls named, and which campaign lists know them: a misspelt name is on no list."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from admin_web.queries.campaign_lists import CampaignListShown
from admin_web.record.database import Database
from admin_web.record.models import DecisionRecord

LATEST_CALLS = 10_000
"""Number of calls that are searched for campaigns, the latest ones."""

MOST_CAMPAIGNS = 200
"""Maximum number of campaigns that are shown for their calls, and of further ones for their campaign lists."""


@dataclass(frozen=True, slots=True)
class RecentCampaign:
    """A campaign: how many of the latest calls named it, the last of them, and the campaign lists that apply to it.

    Without a call, `last_at` is None: only a campaign list names it.
    """

    name: str
    calls: int
    last_at: datetime | None
    lists: tuple[str, ...]


async def recent_campaigns(database: Database, lists: Iterable[CampaignListShown]) -> Sequence[RecentCampaign]:
    """Return the campaigns of the latest calls and of these campaign lists: first those with the most calls.

    Of the others, only those on campaign lists are returned.

    Raises DatabaseUnavailable.
    """
    known: dict[str, list[str]] = {}
    for one in lists:
        for campaign in one.campaigns:
            known.setdefault(campaign, []).append(one.name)
    call = DecisionRecord
    # All calls count for the limit. If only those with a campaign did, a search for the first one could read them all.
    latest = select(call.campaign, call.at).order_by(call.at.desc()).limit(LATEST_CALLS).subquery()
    calls = func.count().label("calls")
    asked = (
        select(latest.c.campaign, calls, func.max(latest.c.at))
        .where(latest.c.campaign != "")
        .group_by(latest.c.campaign)
        .order_by(calls.desc(), latest.c.campaign)
    )
    async with database.read() as session:
        found = (await session.execute(asked)).all()
    called = [RecentCampaign(name, count, last_at, tuple(known.pop(name, ()))) for name, count, last_at in found]
    uncalled = [RecentCampaign(name, 0, None, tuple(known[name])) for name in sorted(known)]
    others = [one for one in (*called[MOST_CAMPAIGNS:], *uncalled) if one.lists]
    return [*called[:MOST_CAMPAIGNS], *others[:MOST_CAMPAIGNS]]
