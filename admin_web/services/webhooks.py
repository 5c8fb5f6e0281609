"""Adding webhooks, trying them out, and turning them off."""

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
"""Webhooks at a time: each change writes a delivery for each of them."""


class UnknownWebhook(Refused):
    """There is no such webhook, or it is turned off."""


async def add_webhook(
    records: Records, actor: Actor, settings: AdminSettings, url: str, events: Collection[Event]
) -> tuple[int, str]:
    """Put a webhook on record; give its id, and the secret that signs, for the only time. Raises Unwritable."""
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
    """Tell a webhook no more, not even what waits for it; False when that was so before. Raises UnknownWebhook."""
    async with records.change(actor) as change:
        webhook = await change.session.get(Webhook, webhook_id, with_for_update=True)
        if webhook is None:
            raise UnknownWebhook(f"There is no webhook {webhook_id}.")
        if webhook.disabled_at is not None:
            return False
        webhook.disabled_at, webhook.disabled_by = change.at, actor.name
        await _give_up_waiting(change, webhook_id)
        change.audit("disable-webhook", "webhook", webhook_id)
    return True


async def try_webhook(records: Records, actor: Actor, webhook_id: int) -> None:
    """Send a webhook a test event, like any other. Raises UnknownWebhook."""
    async with records.change(actor) as change:
        webhook = await change.session.get(Webhook, webhook_id)
        if webhook is None or webhook.disabled_at is not None:
            raise UnknownWebhook(f"There is no webhook {webhook_id} that is on.")
        row = delivery(webhook_id, new_event_id(), TEST, {"by": actor.name}, change.at)
        change.session.add(WebhookDelivery(**row))
        change.audit("try-webhook", "webhook", webhook_id)


async def _give_up_waiting(change: Change, webhook_id: int) -> None:
    waiting = update(WebhookDelivery).where(
        WebhookDelivery.webhook_id == webhook_id,
        WebhookDelivery.delivered_at.is_(None),
        WebhookDelivery.given_up_at.is_(None),
    )
    await change.session.execute(waiting.values(given_up_at=change.at, last_error="The webhook was turned off."))


async def _require_room(session: AsyncSession) -> None:
    live = await session.scalar(select(func.count()).select_from(Webhook).where(Webhook.disabled_at.is_(None)))
    if (live or 0) >= MOST:
        raise Unwritable(f"There are {MOST} webhooks already; turn one off first.")
