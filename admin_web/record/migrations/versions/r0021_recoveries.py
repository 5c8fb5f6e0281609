"""Keep the marks of all writes to Redis, and what was recovered from a Redis that this database has not written."""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import INTEGER, count, done, id_column, index, moment, points_at, text_column

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MARKS, RECOVERIES, LOST = "projection_marks", "recoveries", "lost_overrides"


def upgrade() -> None:
    """Create the tables. A Redis that was built before them has the empty mark, which is on record."""
    op.create_table(MARKS, id_column(), count("projection_id"), text_column("mark", 16), moment("written_at"))
    op.create_index("ix_projection_marks_projection_id_id", MARKS, ["projection_id", "id"])
    op.create_index("ix_projection_marks_projection_id_mark", MARKS, ["projection_id", "mark"])
    index(MARKS, "written_at")
    op.execute(
        "INSERT INTO projection_marks (projection_id, mark, written_at) "
        "SELECT id, '', CURRENT_TIMESTAMP FROM projection WHERE generation > 0 OR building IS NOT NULL"
    )
    op.create_table(
        RECOVERIES,
        id_column(),
        count("projection_id"),
        text_column("mark", 16),
        moment("began_at"),
        moment("ended_at", nullable=True),
        *(count(name) for name in ("numbers", "patterns", "terms", "held", "lost")),
        sa.Column("discarded", sa.Boolean(), nullable=False),
        *done("seen", nullable=True),
        sa.UniqueConstraint("projection_id", "mark", name="uq_recoveries_projection_id_mark"),
    )
    op.create_table(
        LOST,
        sa.Column("recovery_id", INTEGER, primary_key=True, autoincrement=False),
        sa.Column("number", sa.String(16), primary_key=True),
        sa.Column("lead_id", sa.String(64), primary_key=True),
        text_column("override_id", 32),
        text_column("basis", 32),
        moment("expires_at"),
        points_at("recoveries.id", LOST, "recovery_id"),
    )
    op.add_column("overrides", sa.Column("recovery_id", INTEGER))


def downgrade() -> None:
    """Drop the tables and the column."""
    op.drop_column("overrides", "recovery_id")
    for table in (LOST, RECOVERIES, MARKS):
        op.drop_table(table)
