"""Let an entry of the company's own list end by itself. Entries from before this revision have no end."""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import done, moment

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ENTRIES = "suppression_entries"
ENDING = sa.text("ends_at IS NOT NULL AND lifted_at IS NULL")


def upgrade() -> None:
    """Add the columns. They have no defaults, so millions of entries are not rewritten."""
    for column in (moment("ends_at", nullable=True), *done("extended", nullable=True)):
        op.add_column(ENTRIES, column)
    op.create_index(f"ix_{ENTRIES}_ending", ENTRIES, ["ends_at"], sqlite_where=ENDING, postgresql_where=ENDING)


def downgrade() -> None:
    """Drop the columns. Entries with an end then stay until somebody lifts them."""
    op.drop_index(f"ix_{ENTRIES}_ending", ENTRIES)
    for name in ("extended_by", "extended_at", "ends_at"):
        op.drop_column(ENTRIES, name)
