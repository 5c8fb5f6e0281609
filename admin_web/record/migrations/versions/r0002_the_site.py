"""Add what the site needs: sessions, the dial queue, click-to-call, background jobs, webhooks."""

import sqlalchemy as sa
from alembic import op

from admin_web.record.folding import folded
from admin_web.record.migrations.spelling import (
    INTEGER,
    MOMENT,
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

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    "sessions", "sign_in_buckets", "call_requests", "cdr_files", "jobs", "webhooks", "webhook_deliveries",
    "idempotency_keys", "decision_totals",
)  # fmt: skip

FOLDED = sa.String(400).with_variant(sa.String(400, collation="C"), "postgresql")
FOLDED_AT_ONCE = 5_000
NEVER = "1970-01-01 00:00:00.000000"
"""The moment that means "never called". It has microseconds, as SQLAlchemy writes them, because SQLite compares moments
as text.
"""

ENTRY_INDEXES = (("source", "id"), ("added_by", "id"), ("added_by", "source", "id"))
AUDIT_INDEXES = (("done_by", "done_at"), ("action", "done_at"), ("done_by", "action", "done_at"))


def upgrade() -> None:
    """Create the tables, columns and indexes."""
    _people()
    _leads()
    _overrides()
    _calls()
    _work()
    _totals()


def downgrade() -> None:
    """Drop everything that `upgrade` creates."""
    for name in reversed(TABLES):
        op.drop_table(name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP STATISTICS st_decisions_verdict_reason")
    for name in ("agent_at", "verdict_at", "verdict_reason_at"):
        op.drop_index(f"ix_decisions_{name}", "decisions")
    op.drop_column("decisions", "agent")
    op.drop_index("ix_overrides_revoked_at", "overrides")
    op.drop_index("ix_call_details_linked_channel", "call_details")
    op.drop_index("ix_call_details_alone", "call_details")
    op.drop_index("ix_call_details_unscreened", "call_details")
    with op.batch_alter_table("call_details") as table:
        table.drop_constraint("uq_call_details_record", type_="unique")
        for column in ("lead", "agent", "unscreened", "trunk"):
            table.drop_column(column)
    op.drop_index("ix_overrides_unended", "overrides")
    op.drop_column("overrides", "expiry_recorded_at")
    for columns in ENTRY_INDEXES:
        op.drop_index("_".join(["ix_suppression_entries", *columns]), "suppression_entries")
    op.drop_index("ix_suppression_entries_lifted", "suppression_entries")
    op.drop_index("ix_leads_queue", "leads")
    op.drop_index("ix_leads_name_folded_id", "leads")
    with op.batch_alter_table("leads") as table:
        for column in ("name_folded", "queued", "last_called_at"):
            table.drop_column(column)
    for columns in AUDIT_INDEXES:
        op.drop_index("_".join(["ix_audit_events", *columns]), "audit_events")
    with op.batch_alter_table("users") as table:
        for column in ("totp_confirmed_at", "totp_last_step", "extension"):
            table.drop_column(column)


def _people() -> None:
    with op.batch_alter_table("users") as table:
        table.add_column(moment("totp_confirmed_at", nullable=True))
        table.add_column(sa.Column("totp_last_step", INTEGER, nullable=False, server_default="0"))
        table.add_column(sa.Column("extension", sa.String(64), nullable=False, server_default=""))
        table.alter_column("totp_last_step", server_default=None)
    op.create_table(
        "sessions",
        id_column(),
        text_column("token_hash", 64),
        text_column("csrf_token", 64),
        text_column("user_name", 64),
        text_column("address", 64),
        text_column("browser", 200),
        moment("started_at"),
        moment("seen_at"),
        moment("expires_at"),
        *done("ended", nullable=True),
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
        points_at("users.name", "sessions", "user_name"),
    )
    op.create_index("ix_sessions_user_name_expires_at", "sessions", ["user_name", "expires_at"])
    for columns in AUDIT_INDEXES:
        op.create_index("_".join(["ix_audit_events", *columns]), "audit_events", list(columns))
    op.create_table(
        "sign_in_buckets",
        sa.Column("key", sa.String(80), primary_key=True),
        sa.Column("tokens", sa.Double(), nullable=False),
        moment("filled_at"),
    )


def _leads() -> None:
    with op.batch_alter_table("leads") as table:
        table.add_column(sa.Column("name_folded", FOLDED, nullable=False, server_default=""))
        table.add_column(sa.Column("queued", sa.Boolean(), nullable=False, server_default=sa.true()))
        table.add_column(sa.Column("last_called_at", MOMENT, nullable=False, server_default=NEVER))
    _fold_names()
    with op.batch_alter_table("leads") as table:
        for column in ("name_folded", "queued", "last_called_at"):
            table.alter_column(column, server_default=None)
    op.create_index("ix_leads_name_folded_id", "leads", ["name_folded", "id"])
    op.create_index("ix_leads_queue", "leads", ["queued", "last_called_at", "id"])
    lifted = sa.text("lifted_at IS NOT NULL")
    op.create_index(
        "ix_suppression_entries_lifted", "suppression_entries", ["id"], sqlite_where=lifted, postgresql_where=lifted
    )
    for columns in ENTRY_INDEXES:
        op.create_index("_".join(["ix_suppression_entries", *columns]), "suppression_entries", list(columns))


def _fold_names() -> None:
    """Fold the recorded names in Python, because SQLite's lower() changes ASCII letters only."""
    leads, last = sa.table("leads", sa.column("id"), sa.column("name"), sa.column("name_folded")), ""
    named = sa.select(leads.c.id, leads.c.name).where(leads.c.name != "").order_by(leads.c.id).limit(FOLDED_AT_ONCE)
    fold = leads.update().where(leads.c.id == sa.bindparam("lead")).values(name_folded=sa.bindparam("folded"))
    connection = op.get_bind()
    while found := connection.execute(named.where(leads.c.id > last)).all():
        connection.execute(fold, [{"lead": lead, "folded": folded(name)} for lead, name in found])
        last = found[-1].id


def _overrides() -> None:
    op.add_column("overrides", moment("expiry_recorded_at", nullable=True))
    unended = sa.text("revoked_at IS NULL AND expiry_recorded_at IS NULL")
    op.create_index("ix_overrides_unended", "overrides", ["expires_at"], sqlite_where=unended, postgresql_where=unended)


def _calls() -> None:
    op.create_table(
        "call_requests",
        id_column(),
        text_column("channel", 150),
        text_column("lead_id", 64),
        text_column("number", 16),
        *done("asked"),
        prose("failure"),
        sa.UniqueConstraint("channel", name="uq_call_requests_channel"),
        points_at("leads.id", "call_requests", "lead_id"),
    )
    index("call_requests", "lead_id")
    index("call_requests", "asked_at")
    index("call_requests", "asked_by")
    op.create_table(
        "cdr_files",
        sa.Column("path", sa.String(500), primary_key=True),
        count("inode"),
        count("position"),
        text_column("head", 64),
        count("unreadable"),
        moment("read_at"),
    )
    with op.batch_alter_table("call_details") as table:
        table.add_column(sa.Column("lead", sa.String(64), nullable=False, server_default=""))
        table.add_column(sa.Column("agent", sa.String(64), nullable=False, server_default=""))
        table.add_column(sa.Column("unscreened", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("call_details") as table:
        for column in ("lead", "agent", "unscreened"):
            table.alter_column(column, server_default=None)
        table.create_unique_constraint("uq_call_details_record", ["channel", "linked_channel", "sequence"])
    there = sa.text("unscreened")
    op.create_index(
        "ix_call_details_unscreened", "call_details", ["started_at"], sqlite_where=there, postgresql_where=there
    )
    alone = sa.text("unscreened OR (decision_id = '' AND verdict <> '')")
    op.create_index("ix_call_details_alone", "call_details", ["started_at"], sqlite_where=alone, postgresql_where=alone)
    op.add_column("call_details", sa.Column("trunk", sa.String(80), nullable=False, server_default=""))
    left = sa.text("trunk <> ''")
    op.create_index(
        "ix_call_details_linked_channel",
        "call_details",
        ["linked_channel"],
        sqlite_where=left,
        postgresql_where=left,
    )
    index("overrides", "revoked_at")
    op.add_column("decisions", sa.Column("agent", sa.String(64), nullable=False, server_default=""))
    op.create_index("ix_decisions_agent_at", "decisions", ["agent", "at", "verdict", "reason"])
    op.create_index("ix_decisions_verdict_at", "decisions", ["verdict", "at"])
    op.create_index("ix_decisions_verdict_reason_at", "decisions", ["verdict", "reason", "at"])
    if op.get_bind().dialect.name == "postgresql":
        # Without these statistics the planner assumes that verdict and reason are independent of each other, and
        # expects many rows where a reason never occurs with a verdict.
        op.execute("CREATE STATISTICS st_decisions_verdict_reason (mcv) ON verdict, reason FROM decisions")


def _work() -> None:
    op.create_table(
        "jobs",
        id_column(),
        text_column("kind", 32),
        json_column("particulars"),
        json_column("progress"),
        json_column("place"),
        count("tries"),
        text_column("outcome", 16),
        prose("message"),
        *done("asked"),
        text_column("asked_from", 64),
        *done("claimed", nullable=True),
        moment("beat_at", nullable=True),
        moment("ended_at", nullable=True),
    )
    index("jobs", "kind")
    open_jobs = sa.text("outcome = ''")
    op.create_index("ix_jobs_open", "jobs", ["id"], sqlite_where=open_jobs, postgresql_where=open_jobs)
    op.create_table(
        "webhooks",
        id_column(),
        text_column("url", 2000),
        text_column("secret", 64),
        json_column("events"),
        *done("created"),
        *done("disabled", nullable=True),
    )
    op.create_table(
        "webhook_deliveries",
        id_column(),
        count("webhook_id"),
        text_column("event_id", 64),
        text_column("event", 32),
        json_column("body"),
        moment("told_at"),
        moment("due_at"),
        count("attempts"),
        prose("last_error"),
        moment("delivered_at", nullable=True),
        moment("given_up_at", nullable=True),
        sa.UniqueConstraint("webhook_id", "event_id", name="uq_webhook_deliveries_event"),
        points_at("webhooks.id", "webhook_deliveries", "webhook_id"),
    )
    waiting = sa.text("delivered_at IS NULL AND given_up_at IS NULL")
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["webhook_id", "due_at"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_index("ix_webhook_deliveries_webhook_id_id", "webhook_deliveries", ["webhook_id", "id"])
    index("webhook_deliveries", "told_at")
    op.create_table(
        "idempotency_keys",
        sa.Column("token_id", INTEGER, nullable=False),
        text_column("key", 255),
        text_column("request_hash", 64),
        count("status"),
        json_column("answer"),
        moment("used_at"),
        sa.PrimaryKeyConstraint("token_id", "key", name="pk_idempotency_keys"),
        points_at("api_tokens.id", "idempotency_keys", "token_id"),
    )
    index("idempotency_keys", "used_at")


def _totals() -> None:
    op.create_table(
        "decision_totals",
        moment("hour"),
        text_column("verdict", 8),
        text_column("reason", 40),
        count("decisions"),
        sa.PrimaryKeyConstraint("hour", "verdict", "reason", name="pk_decision_totals"),
    )
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    hour = "substr(at, 1, 13) || ':00:00.000000'" if on_sqlite else "date_trunc('hour', at, 'UTC')"
    op.execute(
        "INSERT INTO decision_totals (hour, verdict, reason, decisions) "  # noqa: S608 - `hour` is one of two texts above
        f"SELECT {hour}, verdict, reason, count(*) FROM decisions GROUP BY 1, 2, 3"
    )
