"""Webhook events: each is written in the transaction of its change and sent later by the worker.

So an event exists if, and only if, its change was committed, even when the process dies right after.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.models import Webhook, WebhookDelivery
from admin_web.webhooks.events import Event

Datum: TypeAlias = str | int | list[str] | dict[str, str]
Data: TypeAlias = dict[str, Datum]


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One event and the data that its receivers get."""

    event: Event
    data: Data


async def write_deliveries(session: AsyncSession, happened: Sequence[WebhookEvent], at: datetime) -> None:
    """Write one delivery for each event and each webhook that subscribes to it."""
    if not happened:
        return
    hooks = await session.execute(select(Webhook.id, Webhook.events).where(Webhook.disabled_at.is_(None)))
    wanted = [(hook, set(events)) for hook, events in hooks]
    for one in happened:
        event_id = new_event_id()
        session.add_all(
            WebhookDelivery(**delivery(hook, event_id, one.event, one.data, at))
            for hook, events in wanted
            if one.event in events
        )


async def is_wanted(session: AsyncSession, event: Event) -> bool:
    """Return whether any webhook subscribes to an event."""
    hooks = await session.scalars(select(Webhook.events).where(Webhook.disabled_at.is_(None)))
    return any(event in events for events in hooks)


def new_event_id() -> str:
    """Return a random event id. A receiver that gets an event twice recognises it by this id."""
    return f"evt-{secrets.token_hex(12)}"


def delivery(hook: int, event_id: str, event: str, data: Data, at: datetime) -> dict[str, Any]:
    """Return the columns of a delivery that is due now. The body follows https://www.standardwebhooks.com."""
    return {
        "webhook_id": hook,
        "event_id": event_id,
        "event": event,
        "body": {"type": event, "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "data": data},
        "told_at": at,
        "due_at": at,
        "attempts": 0,
        "last_error": "",
    }
