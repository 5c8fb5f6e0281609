"""Changes that must reach Redis, the turn that lets only one process at a time write to Redis, and the marks of these
writes.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
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


class ProjectionMark(Base):
    """The random mark of one write to a Redis or shard. The newest mark of a Redis is that of its last write.

    A Redis whose mark is on record holds an earlier state of this database, or the present one. Any other Redis was
    built from another database, or from changes that this one has lost: see `projection/history.py`.
    """

    __tablename__ = "projection_marks"
    __table_args__ = (
        Index("ix_projection_marks_projection_id_id", "projection_id", "id"),
        Index("ix_projection_marks_projection_id_mark", "projection_id", "mark"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    projection_id: Mapped[int]
    mark: Mapped[str] = mapped_column(String(16))
    written_at: Mapped[datetime] = mapped_column(index=True)


class Recovery(Base):
    """What was recovered from a Redis, or shard, whose last write (`mark`) is not in the history of this database.

    The counts are those of what Redis alone held: `numbers` and `patterns` that it blocked, `terms` of campaign lists
    and registries that were stricter there, and overrides that it opened (`lost`). `held` are the overrides that this
    database alone would have opened, those that waited for their review, and those that a request had ended before and
    an admin has kept since. The recovery is complete once `ended_at` is set. With `discarded` an operator has thrown
    away what Redis held instead. `seen_at` is when an admin has looked at the differences.
    """

    __tablename__ = "recoveries"
    __table_args__ = (UniqueConstraint("projection_id", "mark"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    projection_id: Mapped[int]
    mark: Mapped[str] = mapped_column(String(16))
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    numbers: Mapped[int] = mapped_column(default=0)
    patterns: Mapped[int] = mapped_column(default=0)
    terms: Mapped[int] = mapped_column(default=0)
    held: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0)
    discarded: Mapped[bool] = mapped_column(default=False)
    seen_at: Mapped[datetime | None]
    seen_by: Mapped[str | None] = mapped_column(String(64))


class LostOverride(Base):
    """An override that a Redis opened, and that this database does not have. It opens nothing any more."""

    __tablename__ = "lost_overrides"

    recovery_id: Mapped[int] = mapped_column(ForeignKey("recoveries.id"), primary_key=True)
    number: Mapped[str] = mapped_column(String(16), primary_key=True)
    lead_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    override_id: Mapped[str] = mapped_column(String(32))
    basis: Mapped[str] = mapped_column(String(32))
    expires_at: Mapped[datetime]
