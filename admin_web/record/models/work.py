"""Work that goes on behind the pages: background jobs, webhooks, and writes of the API that may be sent twice."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from admin_web.record.models.base import Base


class Job(Base):
    """One piece of background work. A worker claims it and shows by `beat_at` that it is at it.

    `particulars` say what to do; `progress` is what the page shows of it, `place` where to go on after a restart.
    `tries` counts the workers that have claimed it since `place` was written last. `outcome` is empty while it waits
    or runs, then `done`, `failed` or `cancelled`, with a sentence in `message`.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_open", "id", sqlite_where=text("outcome = ''"), postgresql_where=text("outcome = ''")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(32), index=True)
    particulars: Mapped[dict[str, Any]]
    progress: Mapped[dict[str, Any]]
    place: Mapped[dict[str, Any]]
    tries: Mapped[int] = mapped_column(default=0)
    outcome: Mapped[str] = mapped_column(String(16), default="")
    message: Mapped[str] = mapped_column(Text, default="")
    asked_at: Mapped[datetime]
    asked_by: Mapped[str] = mapped_column(String(64))
    asked_from: Mapped[str] = mapped_column(String(64), default="")
    claimed_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    beat_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Webhook(Base):
    """An address that is told of events, and the secret that signs what it is sent."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(String(2000))
    secret: Mapped[str] = mapped_column(String(64))
    events: Mapped[list[str]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    disabled_at: Mapped[datetime | None]
    disabled_by: Mapped[str | None] = mapped_column(String(64))


class WebhookDelivery(Base):
    """One event on its way to one webhook; tried again at `due_at` until it is delivered or given up.

    `told_at` is when the event happened; while somebody sends it, `due_at` is when it may be taken from them.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id", name="uq_webhook_deliveries_event"),
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
        Index(
            "ix_webhook_deliveries_due",
            "webhook_id",
            "due_at",
            sqlite_where=text("delivered_at IS NULL AND given_up_at IS NULL"),
            postgresql_where=text("delivered_at IS NULL AND given_up_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id"))
    event_id: Mapped[str] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(32))
    body: Mapped[dict[str, Any]]
    told_at: Mapped[datetime] = mapped_column(index=True)
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str] = mapped_column(Text, default="")
    delivered_at: Mapped[datetime | None]
    given_up_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """What a token was answered when it used this key first, so that a second sending changes nothing."""

    __tablename__ = "idempotency_keys"

    token_id: Mapped[int] = mapped_column(ForeignKey("api_tokens.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(default=0)
    answer: Mapped[dict[str, Any]]
    used_at: Mapped[datetime] = mapped_column(index=True)
