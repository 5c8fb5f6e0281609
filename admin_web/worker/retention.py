"""What is kept for a while only, because it is no record: answers of the API, deliveries, attempts to sign in."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select

from admin_web.record.database import Database
from admin_web.record.models import IdempotencyKey, SignInBucket, WebhookDelivery

KEYS_KEPT = timedelta(days=2)
"""How long an idempotency key is remembered."""

DELIVERIES_KEPT = timedelta(days=30)
"""How long deliveries are shown; all are delivered or given up long before."""

ATTEMPTS_KEPT = timedelta(days=1)
"""How long attempts to sign in are counted: every bucket is full again long before."""

AT_ONCE = 1_000
"""Rows in one transaction: nobody waits for long."""


async def forget(database: Database, at: datetime) -> int:
    """Take out what was kept long enough by `at` (aware UTC), a portion of it; give how many rows that was."""
    old_keys = delete(IdempotencyKey).where(IdempotencyKey.used_at < at - KEYS_KEPT)
    old = select(WebhookDelivery.id).where(WebhookDelivery.told_at < at - DELIVERIES_KEPT)
    old_deliveries = delete(WebhookDelivery).where(
        WebhookDelivery.id.in_(old.order_by(WebhookDelivery.told_at).limit(AT_ONCE))
    )
    full = delete(SignInBucket).where(SignInBucket.filled_at < at - ATTEMPTS_KEPT)
    async with database.write() as session:
        connection = await session.connection()
        return sum([(await connection.execute(some)).rowcount for some in (old_keys, old_deliveries, full)])
