"""Record when the CDR file that was being read could not be found, so that the site can show it."""

from alembic import op

from admin_web.record.migrations.spelling import moment

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("cdr_files", moment("lost_at", nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("cdr_files", "lost_at")
