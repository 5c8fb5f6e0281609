"""Background jobs, webhooks and their deliveries, and the idempotency keys of the API."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from admin_web.record.models.base import Base


class Job(Base):
    """One piece of background work. A worker claims it and writes heartbeats to `beat_at` while it runs.

    `particulars` say what to do, `progress` is what the page shows, `place` is the checkpoint from which the job
    resumes after a restart. `tries` counts the claims since the last checkpoint. `outcome` is empty while the job is
    queued or running, then `done`, `failed` or `cancelled`, with a sentence in `message`.
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
    """A URL that receives events, and the secret that signs them."""

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
    """The delivery of one event to one webhook. It is due at `due_at`, and retried until it succeeds or is given up.

    `told_at` is when the event happened. While a worker sends the delivery, `due_at` is when its claim ends and
    another worker may take it.
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
    """The response to the first request with this key of a token.

    A repeated request gets the same response and changes nothing.
    """

    __tablename__ = "idempotency_keys"

    token_id: Mapped[int] = mapped_column(ForeignKey("api_tokens.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(default=0)
    answer: Mapped[dict[str, Any]]
    used_at: Mapped[datetime] = mapped_column(index=True)
