"""Find the current entries of campaign lists without reading those of the company's own list."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

NAME, ENTRIES = "ix_suppression_entries_campaign_lists", "suppression_entries"
ON_CAMPAIGN_LISTS = sa.text("list_name <> 'internal' AND lifted_at IS NULL")


def upgrade() -> None:
    """Create the index, which has no entry of the company's own list."""
    op.create_index(
        NAME, ENTRIES, ["list_name", "id"], sqlite_where=ON_CAMPAIGN_LISTS, postgresql_where=ON_CAMPAIGN_LISTS
    )


def downgrade() -> None:
    """Drop the index."""
    op.drop_index(NAME, ENTRIES)
