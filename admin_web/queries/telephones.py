"""The page of telephones: who has and had each of them, and which ones call but are assigned to nobody."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select

from admin_web.queries.callers import owners_of
from admin_web.queries.paging import PAGE_ROWS, Key, Page, behind, page_of
from admin_web.record.database import Database
from admin_web.record.models import DecisionRecord, Telephone, User
from admin_web.record.models.suppression import NEVER

RECENT = timedelta(days=7)
"""The length of the period that is searched for telephones without a person."""

MOST_CALLS = 5_000
"""Maximum number of calls that are searched for such telephones, the latest first."""

MOST_PEOPLE = 500


@dataclass(frozen=True, slots=True)
class TelephoneRow:
    """A period in which an endpoint was a person's telephone. `since` is None if it covers all earlier calls."""

    id: int
    channel: str
    person: str
    since: datetime | None
    until: datetime | None
    assigned_at: datetime
    assigned_by: str
    ended_by: str | None


@dataclass(frozen=True, slots=True)
class UnassignedTelephone:
    """An endpoint that called lately and is assigned to nobody: its calls, and the last of them."""

    channel: str
    calls: int
    last_at: datetime


async def telephone_page(database: Database, key: Key | None = None, rows: int = PAGE_ROWS) -> Page[TelephoneRow]:
    """Return a page of telephones by channel, each with its earlier persons."""
    table = Telephone
    asked = select(
        table.id, table.channel, table.person, table.since, table.until, table.assigned_at, table.assigned_by,
        table.ended_by,
    )  # fmt: skip
    if key is not None:
        asked = asked.where(behind((table.channel, table.id), key, descending=False))
    async with database.read() as session:
        found = await session.execute(asked.order_by(table.channel, table.id).limit(rows + 1))
        periods = [_row(TelephoneRow(*row)) for row in found]
    return page_of(periods, lambda row: (row.channel, row.id), rows)


def _row(row: TelephoneRow) -> TelephoneRow:
    return replace(row, since=None) if row.since == NEVER else row


async def unassigned_telephones(database: Database, at: datetime) -> Sequence[UnassignedTelephone]:
    """Return the endpoints that called lately without a person at `at` (aware UTC), those with the most calls first."""
    table = DecisionRecord
    latest = (
        select(table.telephone, table.at)
        .where(table.at >= at - RECENT, table.telephone != "", table.agent == "")
        .order_by(table.at.desc())
        .limit(MOST_CALLS)
        .subquery()
    )
    calls = func.count().label("calls")
    asked = select(latest.c.telephone, calls, func.max(latest.c.at)).group_by(latest.c.telephone)
    async with database.read() as session:
        found = [UnassignedTelephone(*row) for row in await session.execute(asked.order_by(calls.desc()))]
        owners = await owners_of(session, [one.channel for one in found])
    return [one for one in found if not owners.caller("", one.channel, at)]


async def known_people(database: Database) -> Sequence[str]:
    """Return the names of users who are not disabled, as suggestions for the person of a telephone."""
    names = select(User.name).where(User.disabled_at.is_(None)).order_by(User.name).limit(MOST_PEOPLE)
    async with database.read() as session:
        return (await session.scalars(names)).all()
