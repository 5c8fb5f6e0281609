"""Consent overrides and their documents."""

from datetime import date, datetime

from sqlalchemy import ColumnElement, ForeignKey, Index, String, Text, and_, exists, false, or_, text
from sqlalchemy.orm import Mapped, mapped_column

from admin_web.record.models.base import Base, one_of
from admin_web.record.models.suppression import DoNotCallRequest
from compliance.consent import Basis


class Document(Base):
    """A consent document. Its file is named by the SHA-256 of its content."""

    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(255))
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int]
    stored_at: Mapped[datetime]
    stored_by: Mapped[str] = mapped_column(String(64))


class Override(Base):
    """Documented consent to call one lead on one number until `expires_at`.

    An override expires without any action. `expiry_recorded_at` is when the audit event of the expiry was written.

    `counts_from` is the day of the consent, or the day of the placing if that is earlier: a request not to be called
    that is dated on that day or later contests the override. If a request has the same day as the consent,
    `same_day_reason` says why the consent is the later one. An admin may keep a contested override (`kept_at`).
    `seen_request` is the id of the last request that stood on the number when the override was placed or kept.
    `ended_by_request` is the id of the request that ended it, as long as an admin may keep it all the same. While
    `held`, the override opens nothing: nobody has reviewed it yet, or the recovery `recovery_id` has not found it in
    Redis. In the second case it may have been revoked, so an admin confirms or revokes it. One that waited for its
    review then needs both.
    """

    __tablename__ = "overrides"
    __table_args__ = (
        one_of("basis", Basis),
        Index("ix_overrides_lead_number", "lead_id", "number"),
        Index(
            "ix_overrides_unended",
            "expires_at",
            sqlite_where=text("revoked_at IS NULL AND expiry_recorded_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL AND expiry_recorded_at IS NULL"),
        ),
        Index(
            "ix_overrides_recovery_id",
            "recovery_id",
            sqlite_where=text("recovery_id IS NOT NULL"),
            postgresql_where=text("recovery_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    lead_id: Mapped[str] = mapped_column(ForeignKey("leads.id"))
    number: Mapped[str] = mapped_column(String(16), index=True)
    basis: Mapped[str] = mapped_column(String(32))
    basis_note: Mapped[str] = mapped_column(Text, default="")
    consented_on: Mapped[date]
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"), index=True)
    attestation: Mapped[str] = mapped_column(Text)
    placed_at: Mapped[datetime] = mapped_column(index=True)
    placed_by: Mapped[str] = mapped_column(String(64))
    placed_from: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime] = mapped_column(index=True)
    expiry_recorded_at: Mapped[datetime | None]
    reviewed_at: Mapped[datetime | None]
    reviewed_by: Mapped[str | None] = mapped_column(String(64))
    revoked_at: Mapped[datetime | None] = mapped_column(index=True)
    revoked_by: Mapped[str | None] = mapped_column(String(64))
    revoke_reason: Mapped[str | None] = mapped_column(Text)
    counts_from: Mapped[date] = mapped_column(server_default=text("'1970-01-01'"))
    same_day_reason: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))
    tie: Mapped[str] = mapped_column(String(16), default="", server_default=text("''"))
    seller: Mapped[str] = mapped_column(String(200), default="", server_default=text("''"))
    purpose: Mapped[str] = mapped_column(String(200), default="", server_default=text("''"))
    request_shown: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))
    signature: Mapped[str] = mapped_column(String(200), default="", server_default=text("''"))
    held: Mapped[bool] = mapped_column(default=False, server_default=false())
    kept_at: Mapped[datetime | None]
    kept_by: Mapped[str | None] = mapped_column(String(64))
    keep_reason: Mapped[str | None] = mapped_column(Text)
    seen_request: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    # No foreign key: SQLite cannot add one to a table that exists (lang_altertable.html, section 2).
    ended_by_request: Mapped[int | None]
    recovery_id: Mapped[int | None]

    @classmethod
    def live(cls, at: datetime) -> tuple[ColumnElement[bool], ...]:
        """Return the conditions for overrides that are neither revoked nor expired at `at` (aware UTC)."""
        # An end that is on record stays, even if the clock of this machine is set back.
        return cls.revoked_at.is_(None), cls.expires_at > at, cls.expiry_recorded_at.is_(None)

    @classmethod
    def expired(cls, at: datetime) -> ColumnElement[bool]:
        """Return the condition for overrides that have expired at `at` (aware UTC), or whose expiry is on record."""
        return or_(cls.expires_at <= at, cls.expiry_recorded_at.is_not(None))

    def has_expired(self, at: datetime) -> bool:
        """Return whether the override has expired at `at` (aware UTC), or its expiry is on record."""
        return self.expires_at <= at or self.expiry_recorded_at is not None

    @classmethod
    def opening(cls, at: datetime) -> tuple[ColumnElement[bool], ...]:
        """Return the conditions for overrides that open their lead at `at` (aware UTC)."""
        return *cls.live(at), cls.held.is_(False)

    @classmethod
    def contested(cls) -> ColumnElement[bool]:
        """Return the condition for overrides whose person has asked not to be called since the consent.

        A request with the same day as the consent contests the override if it was recorded after the override was
        placed. For a kept override, only requests that were recorded after the decision to keep it count. The order is
        that of the ids. The moments of two transactions at once say nothing about who saw whom.
        """
        asked = DoNotCallRequest
        unseen = asked.id > cls.seen_request
        since = or_(asked.asked_on > cls.counts_from, and_(asked.asked_on == cls.counts_from, unseen))
        unanswered = or_(cls.kept_at.is_(None), unseen)
        return exists().where(asked.number == cls.number, asked.withdrawn_at.is_(None), since, unanswered)
