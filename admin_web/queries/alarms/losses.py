"""The alarm about records of calls that gates have lost."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.queries.alarms.kind import Alarm
from admin_web.record.models import DecisionRecord
from compliance.verdict import RECORDS_LOST, Verdict

LOST = "Records of calls are lost."
LOST_WHERE = "The call log shows when, with the reason records-lost. See that the gates' disks have room."
MOST_LOSSES = 1_000
LOST_FOR = timedelta(hours=24)
"""How long the banner mentions a loss, counted from its first call."""


async def alarm_of_losses(session: AsyncSession, at: datetime) -> Alarm | None:
    """Return the alarm about decisions that gates have lost recently; None when there are none."""
    lost = (DecisionRecord.verdict == Verdict.BLOCK, DecisionRecord.reason == RECORDS_LOST)
    newest = select(DecisionRecord.gate, DecisionRecord.detail).where(*lost, DecisionRecord.at > at - LOST_FOR)
    rows = (await session.execute(newest.order_by(DecisionRecord.at.desc()).limit(MOST_LOSSES))).all()
    if not rows:
        return None
    who = ", ".join(sorted({gate for gate, _ in rows}))
    return Alarm(LOST, f"{_sum_of([detail for _, detail in rows])} of {who} could not be kept. {LOST_WHERE}")


def _sum_of(details: Sequence[str]) -> str:
    """Add up the counts with which the details begin."""
    counts = [int(first) for first in (detail.partition(" ")[0] for detail in details) if first.isdecimal()]
    return "One record" if sum(counts) == 1 else f"{sum(counts):,} records"
