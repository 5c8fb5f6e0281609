"""Let a lead have several numbers. Each existing lead keeps its number as the first one."""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import count, index, points_at, text_column

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

NUMBERS = "lead_numbers"


def upgrade() -> None:
    """Create the table and add the label. With a constant default, adding it rewrites no rows."""
    op.create_table(
        NUMBERS,
        text_column("lead_id", 64),
        text_column("number", 16),
        text_column("label", 16),
        count("position"),
        sa.PrimaryKeyConstraint("lead_id", "number", name=f"pk_{NUMBERS}"),
        points_at("leads.id", NUMBERS, "lead_id"),
    )
    index(NUMBERS, "number")
    op.add_column("leads", sa.Column("number_label", sa.String(16), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    """Drop the table and the label. Each lead keeps its first number."""
    op.drop_column("leads", "number_label")
    op.drop_table(NUMBERS)
