"""Changes that must reach Redis, and the turn that lets only one process at a time write to Redis."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from admin_web.record.models.base import Base


class OutboxRow(Base):
    """Numbers whose state in SQL has changed and must reach Redis. `lead_id` is set for an override.

    The numbers are in `numbers`, or are those of the list's entries whose ids are between `first_entry` and
    `last_entry`. Such a range takes no space, however many entries an import has made.

    A row names the subjects, not the change. Applying it writes what SQL says at that moment, so a row may be applied
    late, twice or out of order, and Redis still ends with what SQL says. `applied_turn` is the turn (see
    `ProjectionRow`) that applied it.
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
    first_entry: Mapped[int | None]
    last_entry: Mapped[int | None]
    lead_id: Mapped[str | None] = mapped_column(String(64))
    committed_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]
    applied_turn: Mapped[int | None] = mapped_column(index=True)


class ProjectionRow(Base):
    """One row per Redis or shard: the live generation, the one being built, and the turn of the current writer.

    Each writer of Redis first adds one to `turn` and keeps that transaction open while it writes. The lock on the row
    lets one process write at a time.
    """

    __tablename__ = "projection"

    id: Mapped[int] = mapped_column(primary_key=True)
    turn: Mapped[int]
    generation: Mapped[int]
    building: Mapped[int | None]
    building_since_turn: Mapped[int | None]
    building_at: Mapped[datetime | None]


class ProjectionCheck(Base):
    """When all of SQL was last compared with one Redis or shard, and what has differed since it last did not at all.

    The id is that of the projection's row. `found` counts the differences by kind.
    """

    __tablename__ = "projection_checks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    complete_at: Mapped[datetime | None]
    found_at: Mapped[datetime | None]
    found: Mapped[dict[str, Any]]
    examples: Mapped[list[str]]
