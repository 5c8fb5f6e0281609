"""Keep on record when each projection was compared with SQL, and what differed."""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import INTEGER, moment

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

CHECKS = "projection_checks"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        CHECKS,
        sa.Column("id", INTEGER, nullable=False, autoincrement=False),
        moment("complete_at", nullable=True),
        moment("found_at", nullable=True),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("examples", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{CHECKS}"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(CHECKS)
