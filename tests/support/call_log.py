"""Rows of the call log as a test wants them: decisions, and records of the PBX."""

from datetime import datetime, timedelta

from admin_web.record.database import Database
from admin_web.record.models import CallDetail, CallRequest, DecisionRecord, DecisionTotal, Lead, Override
from tests.support.records import AT, NUMBER

SECOND = timedelta(seconds=1)


def decision(place: int, /, at: datetime | None = None, **more) -> DecisionRecord:
    """The decision of this place, one second after the one before unless told."""
    at = at or AT + place * SECOND
    values = {
        "id": f"019ab3c4d5e6-9f3a1c22-{place:08x}", "at": at, "verdict": "ALLOW", "reason": "not-listed", "detail": "",
        "override": "", "number": NUMBER, "dialed": "4155550100", "lead": "", "channel": f"pbx-1.{place}",
        "generation": 7, "gate": "gate-1", "archived_at": at, "agent": "",
    }  # fmt: skip
    return DecisionRecord(**(values | more))


def record(place: int, /, at: datetime | None = None, **more) -> CallDetail:
    """The PBX's record of the call of this place, which bears no decision unless told."""
    values = {
        "channel": f"pbx-1.{place}", "linked_channel": f"pbx-1.{place}", "sequence": 0, "decision_id": "",
        "source": "agent", "destination": NUMBER, "verdict": "", "reason": "", "disposition": "ANSWERED", "lead": "",
        "agent": "", "unscreened": False, "started_at": at or AT + place * SECOND, "answered_at": None,
        "ended_at": None, "seconds_billed": 0,
    }  # fmt: skip
    return CallDetail(**(values | more))


async def put(database: Database, *rows: DecisionRecord | CallDetail | CallRequest | Lead | Override | DecisionTotal):
    """Put rows on record."""
    async with database.write() as session:
        for row in rows:
            session.add(row)
            await session.flush()
