"""For which campaign each call was screened, as far as the PBX said so."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. A constant default is no rewrite: a table of millions of rows has it in a moment."""
    op.add_column("decisions", sa.Column("campaign", sa.String(64), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("decisions", "campaign")
