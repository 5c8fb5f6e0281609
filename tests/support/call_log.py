"""Rows of the call log for tests: decisions, and call-detail records of the PBX."""

from datetime import datetime, timedelta

from admin_web.record.database import Database
from admin_web.record.models import CallDetail, CallRequest, DecisionRecord, DecisionTotal, Lead, Override
from tests.support.records import AT, NUMBER

SECOND = timedelta(seconds=1)


def decision(place: int, /, at: datetime | None = None, **more) -> DecisionRecord:
    """Return decision number `place`. Unless `at` is given, it is one second after the decision before it."""
    at = at or AT + place * SECOND
    values = {
        "id": f"019ab3c4d5e6-9f3a1c22-{place:08x}", "at": at, "verdict": "ALLOW", "reason": "not-listed", "detail": "",
        "override": "", "number": NUMBER, "dialed": "4155550100", "lead": "", "channel": f"pbx-1.{place}",
        "generation": 7, "gate": "gate-1", "archived_at": at, "agent": "",
    }  # fmt: skip
    return DecisionRecord(**(values | more))


def record(place: int, /, at: datetime | None = None, **more) -> CallDetail:
    """Return the PBX's record of call number `place`, without a decision unless `more` has one."""
    values = {
        "channel": f"pbx-1.{place}", "linked_channel": f"pbx-1.{place}", "sequence": 0, "decision_id": "",
        "source": "agent", "destination": NUMBER, "verdict": "", "reason": "", "disposition": "ANSWERED", "lead": "",
        "agent": "", "unscreened": False, "started_at": at or AT + place * SECOND, "answered_at": None,
        "ended_at": None, "seconds_billed": 0,
    }  # fmt: skip
    return CallDetail(**(values | more))


async def put(database: Database, *rows: DecisionRecord | CallDetail | CallRequest | Lead | Override | DecisionTotal):
    """Insert rows in order."""
    async with database.write() as session:
        for row in rows:
            session.add(row)
            await session.flush()
