"""Record overrides that have expired. The gate enforces the expiry without this module."""

from datetime import datetime

from sqlalchemy import select

from admin_web.record.changes import Actor, Records
from admin_web.record.models import Override
from admin_web.webhooks.events import Event
from compliance.numbers import E164, LeadId

WORKER = Actor("system:worker")
AT_ONCE = 500
"""Expiries per transaction, so that other writers wait only briefly."""


async def record_expiries(records: Records, latest: datetime) -> int:
    """Record the end of each override that has expired since the last call, and remove it from Redis.

    Return their number. `latest` is the time of Redis (aware UTC). An override has ended only if it has ended by both
    clocks, so a machine whose clock is fast ends none too early. An end on record stays even if a clock is set back.

    Two workers may call this at the same time, because each skips the rows that the other has locked. Raises
    DatabaseUnavailable.
    """
    async with records.change(WORKER) as change:
        expired = (
            select(Override)
            .where(
                Override.expires_at <= min(change.at, latest),
                Override.revoked_at.is_(None),
                Override.expiry_recorded_at.is_(None),
            )
            .order_by(Override.expires_at)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        overrides = (await change.session.scalars(expired)).all()
        for override in overrides:
            override.expiry_recorded_at = change.at
            ended = f"{override.expires_at:%Y-%m-%dT%H:%M:%SZ}"
            about = {"lead": override.lead_id, "number": override.number, "expires_at": ended}
            change.project_override(E164(override.number), LeadId(override.lead_id))
            change.audit("expire-override", "override", override.id, **about)
            change.notify(Event.EXPIRY, override=override.id, **about)
    return len(overrides)
