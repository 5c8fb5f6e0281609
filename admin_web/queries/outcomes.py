"""Outcomes of calls, from the PBX's call-detail records."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.dialect import each_of
from admin_web.record.models import CallDetail


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended, according to the PBX.

    If a call has several records, for example after a transfer, the answered ones count. `trunk` is the channel through
    which the call left the PBX, "" if it did not leave.
    """

    disposition: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    seconds_billed: int
    trunk: str = ""
    records: int = 1


OUTCOME = (
    CallDetail.disposition, CallDetail.started_at, CallDetail.answered_at, CallDetail.ended_at,
    CallDetail.seconds_billed, CallDetail.trunk,
)  # fmt: skip
"""The columns of a CallOutcome, in its order."""


async def outcomes_of(session: AsyncSession, decisions: Sequence[str]) -> dict[str, CallOutcome]:
    """Return the outcome of each decision's call, as far as the PBX has recorded it."""
    asked = select(CallDetail.decision_id, *OUTCOME).where(
        CallDetail.decision_id.in_(select(each_of(session, decisions)))
    )
    outcomes: dict[str, CallOutcome] = {}
    for row in await session.execute(asked.order_by(CallDetail.started_at, CallDetail.id)):
        decision, outcome = row[0], CallOutcome(*row[1:])
        outcomes[decision] = _together(outcomes[decision], outcome) if decision in outcomes else outcome
    return outcomes


def _together(one: CallOutcome, other: CallOutcome) -> CallOutcome:
    """Combine two records of a call, given in the order in which they began."""
    told = one if one.answered_at or not other.answered_at else other
    return CallOutcome(
        told.disposition,
        one.started_at,
        told.answered_at,
        other.ended_at or one.ended_at,
        one.seconds_billed + other.seconds_billed,
        one.trunk or other.trunk,
        one.records + other.records,
    )
