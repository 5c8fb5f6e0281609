"""The system of record: every table, on SQLite and PostgreSQL alike.

Nothing is deleted. An entry is lifted, an override revoked or expired, a user disabled; who, when and why are
columns. People stand in the `_by` columns by their user name, which never changes; the shell of an operator
stands there as `shell:NAME`.
"""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from compliance.consent import Basis, Role
from compliance.verdict import Verdict


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment. SQLite keeps no zone, so it is put back on reading; a naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive moment; store UTC."""
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment back as aware UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The tables' common ground: named constraints, so that migrations can name them too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain class attribute
        datetime: UtcDateTime,
        date: Date,
        bytes: LargeBinary,
        int: BigInteger().with_variant(Integer, "sqlite"),
        dict[str, Any]: JSON,
        list[str]: JSON,
    }


def _one_of(column: str, values: type[Basis] | type[Role] | type[Verdict]) -> CheckConstraint:
    names = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({names})", name=column)


class User(Base):
    """A person who signs in. Disabled, never deleted: their name stands in the record."""

    __tablename__ = "users"
    __table_args__ = (_one_of("role", Role),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    full_name: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str] = mapped_column(String(200))
    totp_secret: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    disabled_at: Mapped[datetime | None]
    disabled_by: Mapped[str | None] = mapped_column(String(64))


class ApiToken(Base):
    """A bearer token of the REST API; only the SHA-256 of it is kept (64 hex digits)."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(String(64))


class Lead(Base):
    """One person record of the CRM, under the CRM's own id, with one number; several may share a number."""

    __tablename__ = "leads"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    number: Mapped[str] = mapped_column(String(16), index=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    changed_at: Mapped[datetime | None]
    changed_by: Mapped[str | None] = mapped_column(String(64))


class SuppressionEntry(Base):
    """One number on one list of the company's own. Lifted, not deleted; at most one stands at a time."""

    __tablename__ = "suppression_entries"
    __table_args__ = (
        Index(
            "uq_suppression_entries_standing",
            "list_name",
            "number",
            unique=True,
            sqlite_where=text("lifted_at IS NULL"),
            postgresql_where=text("lifted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    list_name: Mapped[str] = mapped_column(String(32))
    number: Mapped[str] = mapped_column(String(16), index=True)
    source: Mapped[str] = mapped_column(String(32))
    lead_id: Mapped[str | None] = mapped_column(ForeignKey("leads.id"))
    note: Mapped[str] = mapped_column(Text, default="")
    added_at: Mapped[datetime] = mapped_column(index=True)
    added_by: Mapped[str] = mapped_column(String(64))
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None] = mapped_column(String(64))
    lift_reason: Mapped[str | None] = mapped_column(Text)


class Registry(Base):
    """A list that an authority publishes, and the version of it that is in force."""

    __tablename__ = "registries"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    country: Mapped[str] = mapped_column(String(2))
    owner_account: Mapped[str | None] = mapped_column(String(64))
    area_codes: Mapped[list[str]]
    version_in_force_id: Mapped[int | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))


class RegistryVersion(Base):
    """One import of a registry: immutable once whole."""

    __tablename__ = "registry_versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    registry_name: Mapped[str] = mapped_column(ForeignKey("registries.name"), index=True)
    obtained_at: Mapped[datetime]
    file_name: Mapped[str] = mapped_column(String(255))
    file_sha256: Mapped[str] = mapped_column(String(64))
    accepted: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    imported_at: Mapped[datetime]
    imported_by: Mapped[str] = mapped_column(String(64))
    whole_at: Mapped[datetime | None]


class RegistryExchange(Base):
    """The line numbers that one registry version lists in one exchange: ascending unsigned 16-bit big-endian."""

    __tablename__ = "registry_exchanges"

    version_id: Mapped[int] = mapped_column(ForeignKey("registry_versions.id"), primary_key=True)
    exchange: Mapped[str] = mapped_column(String(11), primary_key=True)
    lines: Mapped[bytes]


class Document(Base):
    """A consent document, kept by its content: `sha256` names the file."""

    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(255))
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int]
    stored_at: Mapped[datetime]
    stored_by: Mapped[str] = mapped_column(String(64))


class Override(Base):
    """Documented consent that opens one lead on one number until `expires_at`."""

    __tablename__ = "overrides"
    __table_args__ = (_one_of("basis", Basis), Index("ix_overrides_lead_number", "lead_id", "number"))

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
    reviewed_at: Mapped[datetime | None]
    reviewed_by: Mapped[str | None] = mapped_column(String(64))
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(String(64))
    revoke_reason: Mapped[str | None] = mapped_column(Text)


class DecisionRecord(Base):
    """What the gate did to one call attempt. Lead and override are not foreign keys: a record is never refused."""

    __tablename__ = "decisions"
    __table_args__ = (
        _one_of("verdict", Verdict),
        Index("ix_decisions_number_at", "number", "at"),
        Index("ix_decisions_lead_at", "lead", "at"),
        Index("ix_decisions_override_at", "override", "at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    verdict: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(String(64))
    override: Mapped[str] = mapped_column(String(20))
    number: Mapped[str] = mapped_column(String(16))
    dialed: Mapped[str] = mapped_column(String(160))
    lead: Mapped[str] = mapped_column(String(64))
    channel: Mapped[str] = mapped_column(String(150), index=True)
    generation: Mapped[int]
    gate: Mapped[str] = mapped_column(String(64))
    archived_at: Mapped[datetime]


class CallDetail(Base):
    """One call-detail record of the PBX; `decision_id` is empty for a call that left without a decision."""

    __tablename__ = "call_details"

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(150), index=True)
    linked_channel: Mapped[str] = mapped_column(String(150), default="")
    sequence: Mapped[int] = mapped_column(default=0)
    decision_id: Mapped[str] = mapped_column(String(40), index=True, default="")
    source: Mapped[str] = mapped_column(String(80))
    destination: Mapped[str] = mapped_column(String(80))
    verdict: Mapped[str] = mapped_column(String(8), default="")
    reason: Mapped[str] = mapped_column(String(40), default="")
    disposition: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime] = mapped_column(index=True)
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    seconds_billed: Mapped[int] = mapped_column(default=0)


class Disposition(Base):
    """How an agent wrapped up a call."""

    __tablename__ = "dispositions"

    id: Mapped[int] = mapped_column(primary_key=True)
    lead_id: Mapped[str] = mapped_column(ForeignKey("leads.id"), index=True)
    decision_id: Mapped[str] = mapped_column(String(40), default="")
    outcome: Mapped[str] = mapped_column(String(32))
    note: Mapped[str] = mapped_column(Text, default="")
    wrapped_up_at: Mapped[datetime]
    wrapped_up_by: Mapped[str] = mapped_column(String(64))


class AuditEvent(Base):
    """What a person did: who (`done_by`, from which address), when, what, to which subject."""

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_subject", "subject_kind", "subject_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    done_at: Mapped[datetime] = mapped_column(index=True)
    done_by: Mapped[str] = mapped_column(String(64))
    done_from: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    subject_kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str] = mapped_column(String(64))
    particulars: Mapped[dict[str, Any]]


class OutboxRow(Base):
    """Numbers whose truth in SQL has changed and must reach Redis. `lead_id` is set for an override.

    A row names the subjects, not the change: whoever applies it reads the truth of that moment, so that applying
    twice, late or out of order still ends at the truth. `applied_turn` is the turn of `Projection` that did it.
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


class Projection(Base):
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
