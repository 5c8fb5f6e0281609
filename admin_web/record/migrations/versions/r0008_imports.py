"""Record each import to the company's own list, and which entries it made, so that it can be undone.

Entries from before this revision name no import.
"""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import INTEGER, done, id_column, prose, text_column

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

IMPORTS = "list_imports"


def upgrade() -> None:
    """Create the table and add the column. It has no default, so millions of entries are not rewritten."""
    op.create_table(
        IMPORTS,
        id_column(),
        text_column("list_name", 32),
        text_column("file_name", 255),
        prose("note"),
        *done("imported"),
        *done("undone", nullable=True),
        prose("undo_reason", nullable=True),
    )
    op.add_column("suppression_entries", sa.Column("import_id", INTEGER, nullable=True))


def downgrade() -> None:
    """Drop the column and the table."""
    op.drop_column("suppression_entries", "import_id")
    op.drop_table(IMPORTS)
