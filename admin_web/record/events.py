"""Events that webhooks are told of: written down in the transaction of the change itself, sent by the worker.

So an event is there if, and only if, its change was committed, whoever made it and whatever died right after.
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

Data: TypeAlias = dict[str, str | int | list[str]]


@dataclass(frozen=True, slots=True)
class Told:
    """One event, and what is told of it."""

    event: Event
    data: Data


async def tell(session: AsyncSession, told: Sequence[Told], at: datetime) -> None:
    """Write a delivery for each event and each webhook that asked for it."""
    if not told:
        return
    hooks = await session.execute(select(Webhook.id, Webhook.events).where(Webhook.disabled_at.is_(None)))
    wanted = [(hook, set(events)) for hook, events in hooks]
    for one in told:
        event_id = new_event_id()
        session.add_all(
            WebhookDelivery(**delivery(hook, event_id, one.event, one.data, at))
            for hook, events in wanted
            if one.event in events
        )


def new_event_id() -> str:
    """Make up the id by which a receiver knows an event that comes twice."""
    return f"evt-{secrets.token_hex(12)}"


def delivery(hook: int, event_id: str, event: str, data: Data, at: datetime) -> dict[str, Any]:
    """Give the columns of a delivery that is due at once. The body is the one of https://www.standardwebhooks.com."""
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
