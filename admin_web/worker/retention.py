"""Deletion of short-lived data that is not part of the record, such as idempotency keys and old marks."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from admin_web.record.database import Database
from admin_web.record.models import IdempotencyKey, ProjectionMark, SignInBucket, WebhookDelivery

KEYS_KEPT = timedelta(days=2)
"""How long idempotency keys are kept."""

DELIVERIES_KEPT = timedelta(days=30)
"""How long deliveries are kept. Long before that, each of them is delivered or given up."""

ATTEMPTS_KEPT = timedelta(days=1)
"""How long sign-in attempts are kept. Long before that, every bucket is full again."""

MARKS_KEPT = timedelta(days=30)
"""How long the marks of writes to Redis are kept. The files of a Redis that are older are taken for another history."""

AT_ONCE = 1_000
"""Deliveries, and marks, deleted per transaction, so that other writers wait only briefly."""


async def forget(database: Database, at: datetime) -> int:
    """Delete data that has expired by `at` (aware UTC), up to a limit. Return the number of deleted rows."""
    old_keys = delete(IdempotencyKey).where(IdempotencyKey.used_at < at - KEYS_KEPT)
    old = select(WebhookDelivery.id).where(WebhookDelivery.told_at < at - DELIVERIES_KEPT)
    old_deliveries = delete(WebhookDelivery).where(
        WebhookDelivery.id.in_(old.order_by(WebhookDelivery.told_at).limit(AT_ONCE))
    )
    full = delete(SignInBucket).where(SignInBucket.filled_at < at - ATTEMPTS_KEPT)
    newest = select(func.max(ProjectionMark.id)).group_by(ProjectionMark.projection_id)
    marks = select(ProjectionMark.id).where(
        ProjectionMark.written_at < at - MARKS_KEPT, ProjectionMark.id.not_in(newest)
    )
    old_marks = delete(ProjectionMark).where(
        ProjectionMark.id.in_(marks.order_by(ProjectionMark.written_at).limit(AT_ONCE))
    )
    async with database.write() as session:
        connection = await session.connection()
        return sum([(await connection.execute(one)).rowcount for one in (old_keys, old_deliveries, full, old_marks)])
