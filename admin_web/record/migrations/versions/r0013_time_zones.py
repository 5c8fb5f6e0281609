"""Record the time zone of each user, and count decisions by quarters of an hour.

In every time zone days begin with a quarter of an hour. Totals of before this revision stay those of whole hours.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and rename the one that is no longer an hour. Both databases do so without rewriting rows."""
    op.add_column("users", sa.Column("time_zone", sa.String(64), nullable=False, server_default=sa.text("''")))
    op.execute("ALTER TABLE decision_totals RENAME COLUMN hour TO began_at")


def downgrade() -> None:
    """Drop the column, and rename the other. Totals of quarters stay: a sum over hours contains them."""
    op.execute("ALTER TABLE decision_totals RENAME COLUMN began_at TO hour")
    op.drop_column("users", "time_zone")
