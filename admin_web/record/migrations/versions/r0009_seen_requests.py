"""Name the last request that was on record when an override was placed or kept.

Overrides from before this revision get it by the moments. Where these do not agree with the ids, too few requests count
as seen: then an override is contested once more, and an admin decides again.
"""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import INTEGER

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. With a constant default, this rewrites no rows."""
    op.add_column("overrides", sa.Column("seen_request", INTEGER, nullable=False, server_default=sa.text("0")))
    op.execute(SEEN)


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("overrides", "seen_request")


SEEN = """
UPDATE overrides SET seen_request = COALESCE(
    (SELECT min(later.id) - 1 FROM do_not_call_requests AS later
     WHERE later.number = overrides.number AND later.recorded_at > COALESCE(overrides.kept_at, overrides.placed_at)),
    (SELECT max(every.id) FROM do_not_call_requests AS every WHERE every.number = overrides.number),
    0
)
"""
