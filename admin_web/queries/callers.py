"""Who called: a person for each call, and the calls of a person. The one place that resolves telephones to persons.

The person of a call is its agent, if the call has one: who clicked on Call, or whom the PBX named. Otherwise it is the
person to whom the call's telephone was assigned at the moment of the call.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from admin_web.record.dialect import each_of
from admin_web.record.models import CallDetail, DecisionRecord, Telephone

MOST_PERIODS = 100
"""Maximum number of telephone periods that a search for one person's calls covers. The latest periods come first."""


@dataclass(frozen=True, slots=True)
class Period:
    """A period in which an endpoint was one person's telephone: `since` (inclusive) to `until` (exclusive)."""

    channel: str
    person: str
    since: datetime
    until: datetime | None

    def covers(self, at: datetime) -> bool:
        """Return whether the moment is in the period."""
        return self.since <= at and (self.until is None or at < self.until)

    def conditions(self, at: InstrumentedAttribute[datetime]) -> list[ColumnElement[bool]]:
        """Return the conditions for moments in the period."""
        return [at >= self.since, *([at < self.until] if self.until else [])]


class Owners:
    """The owners of some endpoints at any moment: the persons whose telephones the endpoints were."""

    def __init__(self, periods: Iterable[Period]) -> None:
        self._periods = tuple(periods)

    def caller(self, agent: str, telephone: str, at: datetime) -> str:
        """Return the person who made a call; "" if nobody is on record."""
        if agent or not telephone:
            return agent
        fits = (period.person for period in self._periods if period.channel == telephone and period.covers(at))
        return next(fits, "")


_PERIOD = Telephone.channel, Telephone.person, Telephone.since, Telephone.until


async def owners_of(session: AsyncSession, telephones: Collection[str]) -> Owners:
    """Return the owners of some endpoints."""
    names = sorted({telephone for telephone in telephones if telephone})
    if not names:
        return Owners(())
    asked = select(*_PERIOD).where(Telephone.channel.in_(select(each_of(session, names))))
    return Owners([Period(*row) for row in await session.execute(asked)])


async def periods_of(session: AsyncSession, person: str) -> Sequence[Period]:
    """Return the periods in which a person had a telephone. There are none for an empty name."""
    if not person:
        return ()
    asked = select(*_PERIOD).where(Telephone.person == person).order_by(Telephone.id.desc()).limit(MOST_PERIODS)
    return [Period(*row) for row in await session.execute(asked)]


def decided_from(period: Period) -> list[ColumnElement[bool] | Any]:
    """Return the conditions for decisions about calls from a telephone in a period, and without an agent.

    The partial index on telephones has the literal condition. With a parameter, the query would not match the index.
    """
    table = DecisionRecord
    by_telephone = [text("decisions.telephone <> ''"), table.telephone == period.channel]
    return [*by_telephone, table.agent.concat("") == "", *period.conditions(table.at)]


def recorded_by(person: str, periods: Sequence[Period]) -> ColumnElement[bool]:
    """Return the condition for PBX records of a person's calls."""
    table = CallDetail
    unnamed = [
        and_(table.agent == "", table.telephone == period.channel, *period.conditions(table.started_at))
        for period in periods
    ]
    return or_(table.agent == person, *unnamed)
