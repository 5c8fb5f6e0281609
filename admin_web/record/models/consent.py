"""Consent overrides and their documents."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from admin_web.record.models.base import Base, one_of
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
