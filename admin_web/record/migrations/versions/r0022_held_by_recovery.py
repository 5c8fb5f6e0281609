"""Find the overrides that a recovery holds without reading all overrides."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

INDEX = "ix_overrides_recovery_id"
HELD = sa.text("recovery_id IS NOT NULL")


def upgrade() -> None:
    """Create the index, which has only the overrides that a recovery has held."""
    op.create_index(INDEX, "overrides", ["recovery_id"], sqlite_where=HELD, postgresql_where=HELD)


def downgrade() -> None:
    """Drop the index."""
    op.drop_index(INDEX, "overrides")
