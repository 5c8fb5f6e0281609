"""Find the calls that a telephone began through a Local channel, also when they were blocked and reached no trunk."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BEGUN = sa.text("decision_id <> '' AND telephone = ''")


def upgrade() -> None:
    """Create the index, which has only calls with a decision and without a telephone."""
    op.create_index(
        "ix_call_details_begun", "call_details", ["linked_channel"], sqlite_where=BEGUN, postgresql_where=BEGUN
    )


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_call_details_begun", "call_details")
