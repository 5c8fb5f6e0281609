"""Create the first tables, and the one row of the table `projection`."""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import (
    INTEGER,
    count,
    done,
    id_column,
    index,
    json_column,
    moment,
    points_at,
    prose,
    text_column,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "users", "api_tokens", "leads", "suppression_entries", "registries", "registry_versions",
    "registry_exchanges", "documents", "overrides", "decisions", "call_details", "dispositions",
    "audit_events", "outbox", "projection",
)  # fmt: skip
"""The tables in the order of creation: each table comes after the tables that its foreign keys refer to."""


def upgrade() -> None:
    """Create all tables."""
    _people()
    _suppression()
    _registries()
    _overrides()
    _calls()
    _dispositions()
    _audit_events()
    _outbox()
    _projection()


def downgrade() -> None:
    """Drop all tables, each before the tables that it refers to. Their indexes are dropped with them."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _people() -> None:
    op.create_table(
        "users",
        id_column(),
        text_column("name", 64),
        text_column("full_name", 200),
        text_column("role", 20),
        text_column("password_hash", 200),
        text_column("totp_secret", 64, nullable=True),
        *done("created"),
        *done("disabled", nullable=True),
        sa.UniqueConstraint("name", name="uq_users_name"),
        sa.CheckConstraint("role IN ('agent', 'supervisor', 'admin', 'auditor')", name=op.f("ck_users_role")),
    )
    op.create_table(
        "api_tokens",
        id_column(),
        text_column("name", 64),
        text_column("token_hash", 64),
        json_column("scopes"),
        *done("created"),
        moment("expires_at", nullable=True),
        moment("last_used_at", nullable=True),
        *done("revoked", nullable=True),
        sa.UniqueConstraint("name", name="uq_api_tokens_name"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
    )


def _suppression() -> None:
    op.create_table(
        "leads",
        text_column("id", 64),
        text_column("name", 200),
        text_column("number", 16),
        *done("created"),
        *done("changed", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_leads"),
    )
    index("leads", "number")
    op.create_table(
        "suppression_entries",
        id_column(),
        text_column("list_name", 32),
        text_column("number", 16),
        text_column("source", 32),
        text_column("lead_id", 64, nullable=True),
        prose("note"),
        *done("added"),
        *done("lifted", nullable=True),
        prose("lift_reason", nullable=True),
        points_at("leads.id", "suppression_entries", "lead_id"),
    )
    index("suppression_entries", "number")
    index("suppression_entries", "added_at")
    standing = sa.text("lifted_at IS NULL")
    op.create_index(
        "uq_suppression_entries_standing",
        "suppression_entries",
        ["list_name", "number"],
        unique=True,
        sqlite_where=standing,
        postgresql_where=standing,
    )


def _registries() -> None:
    op.create_table(
        "registries",
        text_column("name", 32),
        text_column("country", 2),
        text_column("owner_account", 64, nullable=True),
        json_column("area_codes"),
        sa.Column("version_in_force_id", INTEGER),
        *done("created"),
        sa.PrimaryKeyConstraint("name", name="pk_registries"),
    )
    op.create_table(
        "registry_versions",
        id_column(),
        text_column("registry_name", 32),
        moment("obtained_at"),
        text_column("file_name", 255),
        text_column("file_sha256", 64),
        count("accepted"),
        count("rejected"),
        *done("imported"),
        moment("whole_at", nullable=True),
        points_at("registries.name", "registry_versions", "registry_name"),
    )
    index("registry_versions", "registry_name")
    op.create_table(
        "registry_exchanges",
        count("version_id"),
        text_column("exchange", 11),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "exchange", name="pk_registry_exchanges"),
        points_at("registry_versions.id", "registry_exchanges", "version_id"),
    )


def _overrides() -> None:
    op.create_table(
        "documents",
        id_column(),
        text_column("sha256", 64),
        text_column("name", 255),
        text_column("media_type", 100),
        count("size"),
        *done("stored"),
    )
    index("documents", "sha256")
    op.create_table(
        "overrides",
        id_column(),
        text_column("lead_id", 64),
        text_column("number", 16),
        text_column("basis", 32),
        prose("basis_note"),
        sa.Column("consented_on", sa.Date(), nullable=False),
        count("document_id"),
        prose("attestation"),
        *done("placed"),
        text_column("placed_from", 64),
        moment("expires_at"),
        *done("reviewed", nullable=True),
        *done("revoked", nullable=True),
        prose("revoke_reason", nullable=True),
        points_at("leads.id", "overrides", "lead_id"),
        points_at("documents.id", "overrides", "document_id"),
        sa.CheckConstraint(
            "basis IN ('signed-consent', 'written-consent', 'existing-relationship', 'other')",
            name=op.f("ck_overrides_basis"),
        ),
    )
    for column in ("number", "document_id", "placed_at", "expires_at"):
        index("overrides", column)
    op.create_index("ix_overrides_lead_number", "overrides", ["lead_id", "number"])


def _calls() -> None:
    op.create_table(
        "decisions",
        text_column("id", 40),
        moment("at"),
        text_column("verdict", 8),
        text_column("reason", 40),
        text_column("detail", 64),
        text_column("override", 20),
        text_column("number", 16),
        text_column("dialed", 160),
        text_column("lead", 64),
        text_column("channel", 150),
        count("generation"),
        text_column("gate", 64),
        moment("archived_at"),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.CheckConstraint("verdict IN ('ALLOW', 'BLOCK')", name=op.f("ck_decisions_verdict")),
    )
    index("decisions", "at")
    index("decisions", "channel")
    for subject in ("number", "lead", "override"):
        op.create_index(f"ix_decisions_{subject}_at", "decisions", [subject, "at"])
    op.create_table(
        "call_details",
        id_column(),
        text_column("channel", 150),
        text_column("linked_channel", 150),
        count("sequence"),
        text_column("decision_id", 40),
        text_column("source", 80),
        text_column("destination", 80),
        text_column("verdict", 8),
        text_column("reason", 40),
        text_column("disposition", 32),
        moment("started_at"),
        moment("answered_at", nullable=True),
        moment("ended_at", nullable=True),
        count("seconds_billed"),
    )
    for column in ("channel", "decision_id", "started_at"):
        index("call_details", column)


def _dispositions() -> None:
    op.create_table(
        "dispositions",
        id_column(),
        text_column("lead_id", 64),
        text_column("decision_id", 40),
        text_column("outcome", 32),
        prose("note"),
        *done("wrapped_up"),
        points_at("leads.id", "dispositions", "lead_id"),
    )
    index("dispositions", "lead_id")


def _audit_events() -> None:
    op.create_table(
        "audit_events",
        id_column(),
        *done("done"),
        text_column("done_from", 64),
        text_column("action", 32),
        text_column("subject_kind", 32),
        text_column("subject_id", 64),
        json_column("particulars"),
    )
    index("audit_events", "done_at")
    op.create_index("ix_audit_events_subject", "audit_events", ["subject_kind", "subject_id"])


def _outbox() -> None:
    op.create_table(
        "outbox",
        id_column(),
        text_column("list_name", 32, nullable=True),
        json_column("numbers"),
        text_column("lead_id", 64, nullable=True),
        moment("committed_at"),
        moment("applied_at", nullable=True),
        sa.Column("applied_turn", INTEGER),
    )
    index("outbox", "applied_turn")
    pending = sa.text("applied_turn IS NULL")
    op.create_index("ix_outbox_pending", "outbox", ["id"], sqlite_where=pending, postgresql_where=pending)


def _projection() -> None:
    projection = op.create_table(
        "projection",
        id_column(),
        count("turn"),
        count("generation"),
        sa.Column("building", INTEGER),
        sa.Column("building_since_turn", INTEGER),
        moment("building_at", nullable=True),
    )
    op.bulk_insert(projection, [{"id": 1, "turn": 0, "generation": 0}])
