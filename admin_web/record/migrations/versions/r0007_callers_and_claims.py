"""Name the caller of every call: the agent and the telephone of its CDR. Let a dialer claim a lead of the queue."""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import MOMENT, done, id_column, moment, text_column

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NAMED = sa.text("telephone <> ''")
STANDING = sa.text("until IS NULL")


def upgrade() -> None:
    """Add the columns and the table, and give decisions the agents that the call-detail records already name."""
    for table in ("call_details", "decisions"):
        op.add_column(table, sa.Column("telephone", sa.String(80), nullable=False, server_default=sa.text("''")))
    op.create_index(
        "ix_decisions_telephone_at", "decisions", ["telephone", "at"], sqlite_where=NAMED, postgresql_where=NAMED
    )
    op.execute(AGENTS)
    op.create_table(
        "telephones",
        id_column(),
        text_column("channel", 80),
        text_column("person", 64),
        moment("since"),
        moment("until", nullable=True),
        *done("assigned"),
        text_column("ended_by", 64, nullable=True),
    )
    op.create_index("ix_telephones_channel_id", "telephones", ["channel", "id"])
    op.create_index("ix_telephones_person", "telephones", ["person"])
    op.create_index(
        "uq_telephones_standing", "telephones", ["channel"], unique=True,
        sqlite_where=STANDING, postgresql_where=STANDING,
    )  # fmt: skip
    op.add_column("leads", sa.Column("claimed_until", MOMENT, nullable=True))
    op.add_column("leads", sa.Column("claimed_by", sa.String(64), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    """Drop the table and the columns. Decisions keep the agents that they have."""
    with op.batch_alter_table("leads") as table:
        table.drop_column("claimed_by")
        table.drop_column("claimed_until")
    op.drop_table("telephones")
    op.drop_index("ix_decisions_telephone_at", "decisions")
    for table_name in ("decisions", "call_details"):
        with op.batch_alter_table(table_name) as table:
            table.drop_column("telephone")


AGENTS = """
UPDATE decisions SET agent = (
    SELECT max(call_details.agent) FROM call_details
    WHERE call_details.decision_id = decisions.id AND call_details.agent <> ''
)
WHERE agent = '' AND id IN (SELECT decision_id FROM call_details WHERE agent <> '' AND decision_id <> '')
"""
