"""The campaign lists: their campaigns, and how many numbers each has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database
from admin_web.record.models import CampaignListRow, SuppressionEntry
from admin_web.services.campaign_lists import UnknownList


@dataclass(frozen=True, slots=True)
class CampaignListShown:
    """A campaign list: the campaigns to whose calls it applies, and the count of its numbers."""

    name: str
    campaigns: Sequence[str]
    numbers: int
    created_at: datetime
    created_by: str
    changed_at: datetime | None
    changed_by: str | None


async def campaign_lists(session: AsyncSession) -> list[CampaignListShown]:
    """Return all campaign lists by name."""
    entry, row = SuppressionEntry, CampaignListRow
    counted = (
        select(entry.list_name, func.count().label("numbers"))
        .where(entry.on_campaign_lists(), entry.list_name.in_(select(row.name)))
        .group_by(entry.list_name)
        .subquery()
    )
    asked = select(row, func.coalesce(counted.c.numbers, 0)).outerjoin(counted, counted.c.list_name == row.name)
    return [
        CampaignListShown(
            one.name, one.campaigns, numbers, one.created_at, one.created_by, one.changed_at, one.changed_by
        )
        for one, numbers in await session.execute(asked.order_by(row.name))
    ]


async def campaign_list_names(database: Database) -> list[str]:
    """Return the names of all campaign lists, sorted. Raises DatabaseUnavailable."""
    async with database.read() as session:
        return list(await session.scalars(select(CampaignListRow.name).order_by(CampaignListRow.name)))


async def all_campaign_lists(database: Database) -> list[CampaignListShown]:
    """Return all campaign lists by name. Raises DatabaseUnavailable."""
    async with database.read() as session:
        return await campaign_lists(session)


async def one_campaign_list(database: Database, name: str) -> CampaignListShown:
    """Return one campaign list. Raises UnknownList, DatabaseUnavailable."""
    found = next((one for one in await all_campaign_lists(database) if one.name == name), None)
    if found is None:
        raise UnknownList(f"There is no campaign list {name}.")
    return found
