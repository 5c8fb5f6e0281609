"""Deletion of short-lived data that is not part of the record, such as idempotency keys and old marks."""

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import Delete, delete, exists, select
from sqlalchemy.orm import aliased

from admin_web.record.database import Database
from admin_web.record.models import IdempotencyKey, ProjectionMark, SignInBucket, WebhookDelivery

KEYS_KEPT = timedelta(days=2)
"""How long idempotency keys are kept."""

DELIVERIES_KEPT = timedelta(days=30)
"""How long deliveries are kept. Long before that, each of them is delivered or given up."""

ATTEMPTS_KEPT = timedelta(days=1)
"""How long sign-in attempts are kept. Long before that, every bucket is full again."""

MARKS_KEPT = timedelta(days=30)
"""How long the mark of a write to Redis is kept after the next write.

The files of a Redis that are older are taken for another history.
"""

AT_ONCE = 1_000
"""Deliveries, and marks, deleted per transaction, so that other writers wait only briefly."""


async def forget(database: Database, at: datetime) -> int:
    """Delete data that has expired by `at` (aware UTC), in short transactions. Return the number of deleted rows."""
    deleted = 0
    while True:
        some = await _forget_some(database, at)
        deleted += sum(some)
        if max(some) < AT_ONCE:
            return deleted
        await asyncio.sleep(database.pause_s)


async def _forget_some(database: Database, at: datetime) -> list[int]:
    """Delete expired data in one transaction. Return the numbers of deleted rows, by table.

    Keys and sign-in attempts are few, because each expires after a day or two. So all of them are deleted at once.
    """
    old_keys = delete(IdempotencyKey).where(IdempotencyKey.used_at < at - KEYS_KEPT)
    full = delete(SignInBucket).where(SignInBucket.filled_at < at - ATTEMPTS_KEPT)
    async with database.write() as session:
        connection = await session.connection()
        statements = (old_keys, full, _old_deliveries(at), _old_marks(at))
        return [(await connection.execute(one)).rowcount for one in statements]


def _old_deliveries(at: datetime) -> Delete:
    old = select(WebhookDelivery.id).where(WebhookDelivery.told_at < at - DELIVERIES_KEPT)
    return delete(WebhookDelivery).where(WebhookDelivery.id.in_(old.order_by(WebhookDelivery.told_at).limit(AT_ONCE)))


def _old_marks(at: datetime) -> Delete:
    """Delete marks that were replaced long ago."""
    # The newest of the old marks was the current one until a later write, however long ago it was written.
    newer, before = aliased(ProjectionMark), at - MARKS_KEPT
    replaced = exists().where(
        newer.projection_id == ProjectionMark.projection_id, newer.id > ProjectionMark.id, newer.written_at < before
    )
    old = select(ProjectionMark.id).where(ProjectionMark.written_at < before, replaced)
    return delete(ProjectionMark).where(ProjectionMark.id.in_(old.order_by(ProjectionMark.written_at).limit(AT_ONCE)))
