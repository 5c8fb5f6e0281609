"""Webhooks for their pages: address, events, and the outcomes of deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from admin_web.queries.paging import PAGE_ROWS, Key, Page, page_of
from admin_web.record.database import Database
from admin_web.record.models import Webhook, WebhookDelivery


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """One webhook; `waiting` deliveries are pending, `lost` ones were given up within the last thirty days."""

    id: int
    url: str
    events: list[str]
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_by: str | None
    waiting: int
    lost: int


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One event for one webhook. While neither delivered nor given up, it is retried at `due_at`."""

    id: int
    event_id: str
    event: str
    told_at: datetime
    due_at: datetime
    attempts: int
    last_error: str
    delivered_at: datetime | None
    given_up_at: datetime | None


async def webhook_list(database: Database) -> Sequence[WebhookRow]:
    """Return every webhook, enabled ones first."""
    ordered = _webhooks().order_by(Webhook.disabled_at.is_not(None), Webhook.id)
    async with database.read() as session:
        return [WebhookRow(*row) for row in await session.execute(ordered)]


async def webhook_of(database: Database, webhook_id: int) -> WebhookRow | None:
    """Return one webhook; None when it does not exist."""
    async with database.read() as session:
        found = (await session.execute(_webhooks().where(Webhook.id == webhook_id))).one_or_none()
    return WebhookRow(*found) if found else None


async def delivery_page(database: Database, webhook_id: int, behind: Key | None = None) -> Page[DeliveryRow]:
    """Return a page of a webhook's deliveries, latest first."""
    row = WebhookDelivery
    query = (
        select(
            row.id, row.event_id, row.event, row.told_at, row.due_at, row.attempts, row.last_error, row.delivered_at,
            row.given_up_at,
        )
        .where(row.webhook_id == webhook_id)
        .order_by(row.id.desc())
        .limit(PAGE_ROWS + 1)
    )  # fmt: skip
    if behind is not None:
        query = query.where(row.id < behind[0])
    async with database.read() as session:
        found = [DeliveryRow(*one) for one in await session.execute(query)]
    return page_of(found, lambda one: (one.id,))


def _webhooks() -> Select[*tuple[Any, ...]]:
    row = WebhookDelivery
    mine = select(func.count()).where(row.webhook_id == Webhook.id)
    waiting = mine.where(row.delivered_at.is_(None), row.given_up_at.is_(None)).scalar_subquery()
    lost = mine.where(row.given_up_at.is_not(None)).scalar_subquery()
    return select(
        Webhook.id, Webhook.url, Webhook.events, Webhook.created_at, Webhook.created_by, Webhook.disabled_at,
        Webhook.disabled_by, waiting, lost,
    )  # fmt: skip
