"""Deliveries as rows: claimed by one sender at a time, and updated with the outcome.

A sender that claims a delivery moves its `due_at` forward. If the sender dies, another one claims it at that time. So
an event may arrive twice, with the same id, but is never lost. `attempts` numbers the claims of a delivery: only the
latest claim may record an outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, exists, literal, or_, select, update

from admin_web.record.database import Database
from admin_web.record.models import Webhook, WebhookDelivery
from admin_web.record.models.base import UtcDateTime

AT_ONCE = 10
HELD = timedelta(seconds=60)
"""Duration of a claim. It is much longer than a request can take."""

RETRY_S = (10, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 28800)
"""Seconds to wait after each failure. If the attempt after the last wait fails, almost a day after the first, the
delivery is given up.
"""


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook that has deliveries."""

    id: int
    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery being sent; `attempt` counts from 1."""

    id: int
    event_id: str
    body: dict[str, Any]
    attempt: int


async def hooks_with_due(database: Database, at: datetime) -> list[Hook]:
    """Return the enabled webhooks that have due deliveries."""
    due = exists().where(WebhookDelivery.webhook_id == Webhook.id, *_pending(), _due(at))
    hooks = select(Webhook.id, Webhook.url, Webhook.secret).where(Webhook.disabled_at.is_(None), due)
    async with database.read() as session:
        return [Hook(*row) for row in await session.execute(hooks)]


async def take(database: Database, hook: int, at: datetime) -> list[ClaimedDelivery]:
    """Claim the deliveries of one webhook that have been due longest."""
    due = (
        select(WebhookDelivery.id, WebhookDelivery.event_id, WebhookDelivery.body, WebhookDelivery.attempts + 1)
        .where(WebhookDelivery.webhook_id == hook, *_pending(), _due(at))
        .order_by(WebhookDelivery.due_at)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    async with database.write() as session:
        taken = [ClaimedDelivery(*row) for row in await session.execute(due)]
        held = update(WebhookDelivery).where(WebhookDelivery.id.in_([one.id for one in taken]))
        await session.execute(held.values(attempts=WebhookDelivery.attempts + 1, due_at=at + HELD))
    return taken


async def note(database: Database, ended: Sequence[tuple[ClaimedDelivery, str]], at: datetime) -> None:
    """Record the outcome of each delivery: "" for success, otherwise the error."""
    async with database.write() as session:
        for taken, wrong in ended:
            mine = update(WebhookDelivery).where(
                WebhookDelivery.id == taken.id, WebhookDelivery.attempts == taken.attempt, *_pending()
            )
            await session.execute(mine.values(_outcome(taken.attempt, wrong, at)))


def _outcome(attempt: int, wrong: str, at: datetime) -> dict[str, Any]:
    if not wrong:
        return {"delivered_at": at, "last_error": ""}
    if attempt > len(RETRY_S):
        return {"given_up_at": at, "last_error": wrong}
    return {"due_at": at + timedelta(seconds=RETRY_S[attempt - 1]), "last_error": wrong}


def _due(at: datetime) -> ColumnElement[bool]:
    """Select what is due at `at`, and what would be due later than after the longest wait for its number of attempts.

    A program whose clock was wrong has set such a moment, and the delivery would wait until then.
    """
    waits = {0: HELD} | {tried: HELD + timedelta(seconds=wait_s) for tried, wait_s in enumerate(RETRY_S, start=1)}
    latest = {tried: literal(at + wait, UtcDateTime) for tried, wait in waits.items()}
    longest = case(latest, value=WebhookDelivery.attempts, else_=latest[len(RETRY_S)])
    return or_(WebhookDelivery.due_at <= at, WebhookDelivery.due_at > longest)


def _pending() -> tuple[Any, ...]:
    return WebhookDelivery.delivered_at.is_(None), WebhookDelivery.given_up_at.is_(None)
