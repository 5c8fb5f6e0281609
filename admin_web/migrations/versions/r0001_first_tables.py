"""The first tables, and the one row that stands for the projection."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out here, not taken from the models: a revision stays what it was when the models move on.
INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

TABLES = (
    "users", "api_tokens", "leads", "suppression_entries", "registries", "registry_versions",
    "registry_exchanges", "documents", "overrides", "decisions", "call_details", "dispositions",
    "audit_events", "outbox", "projection",
)  # fmt: skip
"""In the order in which they are made: each stands after those it points at."""


def upgrade() -> None:
    """Make every table."""
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
    """Remove every table, those that point at others first; their indexes go with them."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _people() -> None:
    op.create_table(
        "users",
        _id(),
        _text("name", 64),
        _text("full_name", 200),
        _text("role", 20),
        _text("password_hash", 200),
        _text("totp_secret", 64, nullable=True),
        *_done("created"),
        *_done("disabled", nullable=True),
        sa.UniqueConstraint("name", name="uq_users_name"),
        sa.CheckConstraint("role IN ('agent', 'supervisor', 'admin', 'auditor')", name=op.f("ck_users_role")),
    )
    op.create_table(
        "api_tokens",
        _id(),
        _text("name", 64),
        _text("token_hash", 64),
        _json("scopes"),
        *_done("created"),
        _moment("expires_at", nullable=True),
        _moment("last_used_at", nullable=True),
        *_done("revoked", nullable=True),
        sa.UniqueConstraint("name", name="uq_api_tokens_name"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
    )


def _suppression() -> None:
    op.create_table(
        "leads",
        _text("id", 64),
        _text("name", 200),
        _text("number", 16),
        *_done("created"),
        *_done("changed", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_leads"),
    )
    _index("leads", "number")
    op.create_table(
        "suppression_entries",
        _id(),
        _text("list_name", 32),
        _text("number", 16),
        _text("source", 32),
        _text("lead_id", 64, nullable=True),
        _prose("note"),
        *_done("added"),
        *_done("lifted", nullable=True),
        _prose("lift_reason", nullable=True),
        _points_at("leads.id", "suppression_entries", "lead_id"),
    )
    _index("suppression_entries", "number")
    _index("suppression_entries", "added_at")
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
        _text("name", 32),
        _text("country", 2),
        _text("owner_account", 64, nullable=True),
        _json("area_codes"),
        sa.Column("version_in_force_id", INTEGER),
        *_done("created"),
        sa.PrimaryKeyConstraint("name", name="pk_registries"),
    )
    op.create_table(
        "registry_versions",
        _id(),
        _text("registry_name", 32),
        _moment("obtained_at"),
        _text("file_name", 255),
        _text("file_sha256", 64),
        _count("accepted"),
        _count("rejected"),
        *_done("imported"),
        _moment("whole_at", nullable=True),
        _points_at("registries.name", "registry_versions", "registry_name"),
    )
    _index("registry_versions", "registry_name")
    op.create_table(
        "registry_exchanges",
        _count("version_id"),
        _text("exchange", 11),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "exchange", name="pk_registry_exchanges"),
        _points_at("registry_versions.id", "registry_exchanges", "version_id"),
    )


def _overrides() -> None:
    op.create_table(
        "documents",
        _id(),
        _text("sha256", 64),
        _text("name", 255),
        _text("media_type", 100),
        _count("size"),
        *_done("stored"),
    )
    _index("documents", "sha256")
    op.create_table(
        "overrides",
        _id(),
        _text("lead_id", 64),
        _text("number", 16),
        _text("basis", 32),
        _prose("basis_note"),
        sa.Column("consented_on", sa.Date(), nullable=False),
        _count("document_id"),
        _prose("attestation"),
        *_done("placed"),
        _text("placed_from", 64),
        _moment("expires_at"),
        *_done("reviewed", nullable=True),
        *_done("revoked", nullable=True),
        _prose("revoke_reason", nullable=True),
        _points_at("leads.id", "overrides", "lead_id"),
        _points_at("documents.id", "overrides", "document_id"),
        sa.CheckConstraint(
            "basis IN ('signed-consent', 'written-consent', 'existing-relationship', 'other')",
            name=op.f("ck_overrides_basis"),
        ),
    )
    for column in ("number", "document_id", "placed_at", "expires_at"):
        _index("overrides", column)
    op.create_index("ix_overrides_lead_number", "overrides", ["lead_id", "number"])


def _calls() -> None:
    op.create_table(
        "decisions",
        _text("id", 40),
        _moment("at"),
        _text("verdict", 8),
        _text("reason", 40),
        _text("detail", 64),
        _text("override", 20),
        _text("number", 16),
        _text("dialed", 160),
        _text("lead", 64),
        _text("channel", 150),
        _count("generation"),
        _text("gate", 64),
        _moment("archived_at"),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.CheckConstraint("verdict IN ('ALLOW', 'BLOCK')", name=op.f("ck_decisions_verdict")),
    )
    _index("decisions", "at")
    _index("decisions", "channel")
    for subject in ("number", "lead", "override"):
        op.create_index(f"ix_decisions_{subject}_at", "decisions", [subject, "at"])
    op.create_table(
        "call_details",
        _id(),
        _text("channel", 150),
        _text("linked_channel", 150),
        _count("sequence"),
        _text("decision_id", 40),
        _text("source", 80),
        _text("destination", 80),
        _text("verdict", 8),
        _text("reason", 40),
        _text("disposition", 32),
        _moment("started_at"),
        _moment("answered_at", nullable=True),
        _moment("ended_at", nullable=True),
        _count("seconds_billed"),
    )
    for column in ("channel", "decision_id", "started_at"):
        _index("call_details", column)


def _dispositions() -> None:
    op.create_table(
        "dispositions",
        _id(),
        _text("lead_id", 64),
        _text("decision_id", 40),
        _text("outcome", 32),
        _prose("note"),
        *_done("wrapped_up"),
        _points_at("leads.id", "dispositions", "lead_id"),
    )
    _index("dispositions", "lead_id")


def _audit_events() -> None:
    op.create_table(
        "audit_events",
        _id(),
        *_done("done"),
        _text("done_from", 64),
        _text("action", 32),
        _text("subject_kind", 32),
        _text("subject_id", 64),
        _json("particulars"),
    )
    _index("audit_events", "done_at")
    op.create_index("ix_audit_events_subject", "audit_events", ["subject_kind", "subject_id"])


def _outbox() -> None:
    op.create_table(
        "outbox",
        _id(),
        _text("list_name", 32, nullable=True),
        _json("numbers"),
        _text("lead_id", 64, nullable=True),
        _moment("committed_at"),
        _moment("applied_at", nullable=True),
        sa.Column("applied_turn", INTEGER),
    )
    _index("outbox", "applied_turn")
    pending = sa.text("applied_turn IS NULL")
    op.create_index("ix_outbox_pending", "outbox", ["id"], sqlite_where=pending, postgresql_where=pending)


def _projection() -> None:
    projection = op.create_table(
        "projection",
        _id(),
        _count("turn"),
        _count("generation"),
        sa.Column("building", INTEGER),
        sa.Column("building_since_turn", INTEGER),
        _moment("building_at", nullable=True),
    )
    op.bulk_insert(projection, [{"id": 1, "turn": 0, "generation": 0}])


def _id() -> sa.Column[Any]:
    return sa.Column("id", INTEGER, primary_key=True)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _prose(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, INTEGER, nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _done(verb: str, *, nullable: bool = False) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Give the pair of columns that says when something was done, and by whom."""
    return _moment(f"{verb}_at", nullable=nullable), _text(f"{verb}_by", 64, nullable=nullable)


def _points_at(target: str, table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def _index(table: str, column: str) -> None:
    op.create_index(f"ix_{table}_{column}", table, [column])
