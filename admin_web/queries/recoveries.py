"""Recoveries from a Redis that held changes which the database had lost, and what is left for an admin to look at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.database import Database
from admin_web.record.models import LostOverride, Override, Recovery

MOST = 20
"""Maximum number of recoveries that the page shows. One restored backup makes one for each shard of a cluster."""

MOST_OVERRIDES = 200
"""Maximum number of overrides that the page shows of each recovery, for each kind of difference."""


@dataclass(frozen=True, slots=True)
class LostRow:
    """An override that Redis opened and the database has lost. It opens nothing any more."""

    override_id: str
    lead: str
    number: str
    basis: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class HeldRow:
    """An override that waits until an admin confirms or revokes it."""

    id: int
    lead: str
    number: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RecoveryShown:
    """A recovery with its counts; see the table `recoveries`.

    `waits` is how many overrides are still held. `waiting` are the first of them, and `gone` the first of those that
    only Redis opened: at most MOST_OVERRIDES of each.
    """

    id: int
    mark: str
    began_at: datetime
    ended_at: datetime | None
    numbers: int
    patterns: int
    terms: int
    held: int
    lost: int
    discarded: bool
    seen_at: datetime | None
    seen_by: str | None
    waits: int = 0
    waiting: Sequence[HeldRow] = ()
    gone: Sequence[LostRow] = ()


_ROW = (
    Recovery.id, Recovery.mark, Recovery.began_at, Recovery.ended_at, Recovery.numbers, Recovery.patterns,
    Recovery.terms, Recovery.held, Recovery.lost, Recovery.discarded, Recovery.seen_at, Recovery.seen_by,
)  # fmt: skip


async def recoveries(database: Database, at: datetime) -> Sequence[RecoveryShown]:
    """Return the recoveries in their state at `at` (aware UTC). Raises DatabaseUnavailable.

    Those that nobody has looked at come first, or the page could leave out one that the banner asks for. Otherwise the
    latest comes first.
    """
    first = select(*_ROW).order_by(Recovery.seen_at.is_not(None), Recovery.id.desc()).limit(MOST)
    async with database.read() as session:
        rows = (await session.execute(first)).all()
        return [await _shown(session, tuple(row), at) for row in rows]


async def _shown(session: AsyncSession, row: tuple[Any, ...], at: datetime) -> RecoveryShown:
    shown = RecoveryShown(*row)
    held = and_(*Override.live(at), Override.held, Override.recovery_id == shown.id)
    return replace(
        shown,
        waits=await session.scalar(select(func.count()).where(held)) or 0,
        waiting=await _waiting(session, held),
        gone=await _gone(session, shown.id),
    )


async def _waiting(session: AsyncSession, held: ColumnElement[bool]) -> Sequence[HeldRow]:
    columns = select(Override.id, Override.lead_id, Override.number, Override.expires_at)
    first = columns.where(held).order_by(Override.id).limit(MOST_OVERRIDES)
    return [HeldRow(*row) for row in await session.execute(first)]


async def _gone(session: AsyncSession, recovery_id: int) -> Sequence[LostRow]:
    one = LostOverride
    lost = select(one.override_id, one.lead_id, one.number, one.basis, one.expires_at)
    ordered = lost.where(one.recovery_id == recovery_id).order_by(one.lead_id, one.number).limit(MOST_OVERRIDES)
    return [LostRow(*row) for row in await session.execute(ordered)]
