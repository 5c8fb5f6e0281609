"""Webhooks: adding, testing and disabling them."""

from collections.abc import Collection

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Actor, Change, Records
from admin_web.record.events import delivery, new_event_id
from admin_web.record.models import Webhook, WebhookDelivery
from admin_web.settings import AdminSettings
from admin_web.webhooks.events import TEST, Event
from admin_web.webhooks.reach import checked_url
from admin_web.webhooks.signature import new_secret
from compliance.refusal import Refused, Unwritable

MOST = 50
"""Maximum number of enabled webhooks. It is limited because each change writes one delivery per webhook."""


class UnknownWebhook(Refused):
    """No webhook has this id, or it is disabled."""


async def add_webhook(
    records: Records, actor: Actor, settings: AdminSettings, url: str, events: Collection[Event]
) -> tuple[int, str]:
    """Add a webhook. Returns its id and its signing secret, which cannot be read again later. Raises Unwritable."""
    url = checked_url(url, http=settings.webhook_http, private=settings.webhook_private)
    if not events:
        raise Unwritable("Choose at least one event.")
    async with records.change(actor) as change:
        await _require_room(change.session)
        webhook = Webhook(
            url=url, secret=new_secret(), events=sorted(set(events)), created_at=change.at, created_by=actor.name
        )
        change.session.add(webhook)
        await change.session.flush()
        change.audit("add-webhook", "webhook", webhook.id, url=url, events=" ".join(webhook.events))
    return webhook.id, webhook.secret


async def disable_webhook(records: Records, actor: Actor, webhook_id: int) -> bool:
    """Disable a webhook and drop its pending deliveries. Returns False if it was disabled before.

    Raises UnknownWebhook.
    """
    async with records.change(actor) as change:
        webhook = await change.session.get(Webhook, webhook_id, with_for_update=True)
        if webhook is None:
            raise UnknownWebhook(f"There is no webhook {webhook_id}.")
        if webhook.disabled_at is not None:
            return False
        webhook.disabled_at, webhook.disabled_by = change.at, actor.name
        await _drop_pending(change, webhook_id)
        change.audit("disable-webhook", "webhook", webhook_id)
    return True


async def try_webhook(records: Records, actor: Actor, webhook_id: int) -> None:
    """Send a test event to a webhook. Raises UnknownWebhook."""
    async with records.change(actor) as change:
        webhook = await change.session.get(Webhook, webhook_id)
        if webhook is None or webhook.disabled_at is not None:
            raise UnknownWebhook(f"There is no enabled webhook {webhook_id}, so no test event was sent.")
        row = delivery(webhook_id, new_event_id(), TEST, {"by": actor.name}, change.at)
        change.session.add(WebhookDelivery(**row))
        change.audit("try-webhook", "webhook", webhook_id)


async def _drop_pending(change: Change, webhook_id: int) -> None:
    pending = update(WebhookDelivery).where(
        WebhookDelivery.webhook_id == webhook_id,
        WebhookDelivery.delivered_at.is_(None),
        WebhookDelivery.given_up_at.is_(None),
    )
    await change.session.execute(pending.values(given_up_at=change.at, last_error="The webhook was disabled."))


async def _require_room(session: AsyncSession) -> None:
    live = await session.scalar(select(func.count()).select_from(Webhook).where(Webhook.disabled_at.is_(None)))
    if (live or 0) >= MOST:
        raise Unwritable(f"There are already {MOST} enabled webhooks, the most allowed. Disable one first.")
