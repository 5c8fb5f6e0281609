"""The requests not to be called on a number, and the dates that a consent is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from admin_web.record.models import DoNotCallRequest, SuppressionEntry
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL

MOST_REQUESTS = 100
"""Maximum number of requests that a page shows, newest first."""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request not to be called. `lead` is who asked, if that is known."""

    id: int
    asked_on: date
    source: str
    lead: str | None
    note: str
    recorded_at: datetime
    recorded_by: str
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    withdraw_reason: str | None


_ROW: tuple[InstrumentedAttribute[Any], ...] = (
    DoNotCallRequest.id, DoNotCallRequest.asked_on, DoNotCallRequest.source, DoNotCallRequest.lead_id,
    DoNotCallRequest.note, DoNotCallRequest.recorded_at, DoNotCallRequest.recorded_by, DoNotCallRequest.withdrawn_at,
    DoNotCallRequest.withdrawn_by, DoNotCallRequest.withdraw_reason,
)  # fmt: skip


async def requests_on(session: AsyncSession, number: E164) -> Sequence[RequestRow]:
    """Return the requests on a number, newest first, withdrawn ones included."""
    found = select(*_ROW).where(DoNotCallRequest.number == number)
    newest = found.order_by(DoNotCallRequest.asked_on.desc(), DoNotCallRequest.id.desc()).limit(MOST_REQUESTS)
    return [RequestRow(*row) for row in await session.execute(newest)]


async def last_request_on(session: AsyncSession, number: E164) -> RequestRow | None:
    """Return the request on a number that was recorded last and was not withdrawn; None if there is none."""
    standing = select(*_ROW).where(DoNotCallRequest.number == number, DoNotCallRequest.withdrawn_at.is_(None))
    found = (await session.execute(standing.order_by(DoNotCallRequest.id.desc()).limit(1))).one_or_none()
    return RequestRow(*found) if found is not None else None


def newest_request_of(number: ColumnElement[str] | InstrumentedAttribute[str]) -> ScalarSelect[date]:
    """Return the subquery for the day of the newest request on a row's number. Withdrawn requests do not count."""
    asked = DoNotCallRequest
    newest = select(asked.asked_on).where(asked.number == number, asked.withdrawn_at.is_(None))
    return newest.order_by(asked.asked_on.desc()).limit(1).scalar_subquery()


def listed_since(number: ColumnElement[str] | InstrumentedAttribute[str]) -> ScalarSelect[datetime]:
    """Return the subquery for the moment since which the number of a row is on the company's own list."""
    entry = SuppressionEntry
    return (
        select(entry.added_at)
        .where(entry.list_name == INTERNAL, entry.number == number, entry.lifted_at.is_(None))
        .scalar_subquery()
    )
