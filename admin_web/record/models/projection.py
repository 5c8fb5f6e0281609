"""What must reach Redis, and who may write there."""

from datetime import datetime

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from admin_web.record.models.base import Base


class OutboxRow(Base):
    """Numbers whose truth in SQL has changed and must reach Redis. `lead_id` is set for an override.

    A row names the subjects, not the change: whoever applies it reads the truth of that moment, so that applying
    twice, late or out of order still ends at the truth. `applied_turn` is the turn of `ProjectionRow` that did it.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "ix_outbox_pending",
            "id",
            sqlite_where=text("applied_turn IS NULL"),
            postgresql_where=text("applied_turn IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    list_name: Mapped[str | None] = mapped_column(String(32))
    numbers: Mapped[list[str]]
    lead_id: Mapped[str | None] = mapped_column(String(64))
    committed_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]
    applied_turn: Mapped[int | None] = mapped_column(index=True)


class ProjectionRow(Base):
    """One row: the generation that is live in Redis, the one being built, and whose turn it is to write.

    Each writer of Redis first adds one to `turn` and keeps that transaction open while it writes: the row's lock
    lets one write at a time, on every database.
    """

    __tablename__ = "projection"

    id: Mapped[int] = mapped_column(primary_key=True)
    turn: Mapped[int]
    generation: Mapped[int]
    building: Mapped[int | None]
    building_since_turn: Mapped[int | None]
    building_at: Mapped[datetime | None]
