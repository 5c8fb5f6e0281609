"""Patterns of area codes and exchanges on the company's own list, and lists for some campaigns.

Both tables are empty after the upgrade, and the document of terms is then the one that gates of version 0.2 know.
"""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import done, id_column, json_column, prose, text_column

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PATTERNS, CAMPAIGN_LISTS = "suppression_patterns", "campaign_lists"
STANDING = sa.text("lifted_at IS NULL")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        PATTERNS,
        id_column(),
        text_column("prefix", 15),
        prose("reason"),
        text_column("source", 32),
        *done("added"),
        *done("lifted", nullable=True),
        prose("lift_reason", nullable=True),
    )
    op.create_index(
        f"uq_{PATTERNS}_standing", PATTERNS, ["prefix"], unique=True, sqlite_where=STANDING, postgresql_where=STANDING
    )
    op.create_table(
        CAMPAIGN_LISTS,
        sa.Column("name", sa.String(32), primary_key=True),
        json_column("campaigns"),
        *done("created"),
        *done("changed", nullable=True),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table(CAMPAIGN_LISTS)
    op.drop_table(PATTERNS)
