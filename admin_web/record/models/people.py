"""Users, their sessions, API tokens, and audit events."""

from datetime import datetime
from typing import Any

from sqlalchemy import Double, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from admin_web.record.models.base import Base, one_of
from compliance.consent import Role


class User(Base):
    """A person who signs in. Users are disabled, never deleted, because the record refers to their names.

    `extension` is the telephone that the PBX rings when they click on Call; if empty, the user name is the extension.
    `time_zone` is the name of the zone in which they see times and days; if empty, the installation's.
    `password_until` is the end of a password that somebody else has set; a password that the person chose has none.
    """

    __tablename__ = "users"
    __table_args__ = (one_of("role", Role),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    full_name: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[str] = mapped_column(String(20))
    extension: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))
    time_zone: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))
    password_hash: Mapped[str] = mapped_column(String(200))
    password_until: Mapped[datetime | None]
    totp_secret: Mapped[str | None] = mapped_column(String(64))
    totp_confirmed_at: Mapped[datetime | None]
    totp_last_step: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    disabled_at: Mapped[datetime | None]
    disabled_by: Mapped[str | None] = mapped_column(String(64))


class SignInSession(Base):
    """One browser in which a person has signed in. Only the SHA-256 of its cookie is stored (64 hex digits)."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_user_name_expires_at", "user_name", "expires_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    user_name: Mapped[str] = mapped_column(ForeignKey("users.name"))
    address: Mapped[str] = mapped_column(String(64))
    browser: Mapped[str] = mapped_column(String(200))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None] = mapped_column(String(64))


class RecoveryCode(Base):
    """A code that replaces a one-time code once. Only its SHA-256 is stored (64 hex digits)."""

    __tablename__ = "recovery_codes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("users.name"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    made_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SiteSecret(Base):
    """A random key that all processes of the site share. Each is created when it is first needed."""

    __tablename__ = "site_secrets"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime]


class SignInBucket(Base):
    """The sign-in attempts that a name or an address has left: a token bucket that refills with time."""

    __tablename__ = "sign_in_buckets"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    tokens: Mapped[float] = mapped_column(Double)
    filled_at: Mapped[datetime]


class ApiToken(Base):
    """A bearer token of the REST API. Only its SHA-256 is stored (64 hex digits).

    `responsible` is the admin who answers for the token, None for a token from before this was recorded. `addresses`
    are the networks that the token may come from, separated by blanks; empty means all. `per_minute` is its rate limit,
    None for the usual one. Only tokens from before there was a limit of their life have no `expires_at`.
    """

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime | None]
    responsible: Mapped[str | None] = mapped_column(String(64))
    addresses: Mapped[str] = mapped_column(String(1000), default="", server_default=text("''"))
    per_minute: Mapped[int | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(String(64))

    def is_good(self, at: datetime) -> bool:
        """Return whether the token is neither revoked nor expired at `at` (aware UTC)."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


class AuditEvent(Base):
    """What a person did: who (`done_by`), from which address (`done_from`), when, what, and to which subject."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_subject", "subject_kind", "subject_id"),
        Index("ix_audit_events_done_by_done_at", "done_by", "done_at"),
        Index("ix_audit_events_action_done_at", "action", "done_at"),
        Index("ix_audit_events_done_by_action_done_at", "done_by", "action", "done_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    done_at: Mapped[datetime] = mapped_column(index=True)
    done_by: Mapped[str] = mapped_column(String(64))
    done_from: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    subject_kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str] = mapped_column(String(64))
    particulars: Mapped[dict[str, Any]]
