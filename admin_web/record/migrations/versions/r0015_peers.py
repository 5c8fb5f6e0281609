"""Record the address that asked the gate about each call."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. With a constant default no rows are rewritten, so millions of them take no time."""
    op.add_column("decisions", sa.Column("peer", sa.String(64), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("decisions", "peer")
