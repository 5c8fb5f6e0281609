"""Make imports of a million numbers fast and small.

An import records the digest of its file, its counts and its range of entry ids. An outbox row may name such a range
instead of each number. The two indexes by number become one. The indexes by source and by person no longer contain the
current entries of imports, which are found by the range of each import. The index by moment is dropped, because no
query uses it.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import INTEGER, index, moment

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ENTRIES, IMPORTS, OUTBOX = "suppression_entries", "list_imports", "outbox"
STANDING, LIFTED = sa.text("lifted_at IS NULL"), sa.text("lifted_at IS NOT NULL")
BY_PERSON = {
    "ix_suppression_entries_source_id": ["source", "id"],
    "ix_suppression_entries_added_by_id": ["added_by", "id"],
    "ix_suppression_entries_added_by_source_id": ["added_by", "source", "id"],
}


def upgrade() -> None:
    """Add the columns, fill them for imports on record, and replace the indexes."""
    for table, columns in _columns().items():
        for column in columns:
            op.add_column(table, column)
    op.execute(RANGES)
    # No audit event is missing for these imports: until now each chunk of an import had an event of its own.
    op.execute("UPDATE list_imports SET ended_at = imported_at")
    for name in BY_PERSON:
        op.drop_index(name, ENTRIES)
    op.drop_index("ix_suppression_entries_added_at", ENTRIES)
    op.drop_index("ix_suppression_entries_number", ENTRIES)
    op.drop_index("uq_suppression_entries_standing", ENTRIES)
    _partial("uq_suppression_entries_standing", ["number", "list_name"], STANDING, unique=True)
    _partial("ix_suppression_entries_lifted_number", ["number", "id"], LIFTED)
    for name, places in BY_PERSON.items():
        _partial(name, places, sa.text("import_id IS NULL OR lifted_at IS NOT NULL"))


def downgrade() -> None:
    """Restore the indexes and drop the columns. Pending rows with a range are lost: run `dnc-admin rebuild`."""
    for name in (*BY_PERSON, "ix_suppression_entries_lifted_number", "uq_suppression_entries_standing"):
        op.drop_index(name, ENTRIES)
    _partial("uq_suppression_entries_standing", ["list_name", "number"], STANDING, unique=True)
    index(ENTRIES, "number")
    index(ENTRIES, "added_at")
    for name, places in BY_PERSON.items():
        op.create_index(name, ENTRIES, places)
    for table, columns in _columns().items():
        with op.batch_alter_table(table) as altered:
            for column in columns:
                altered.drop_column(column.name)


# The entries are read once. No index has their import, so a subquery for each import would read all of them each time.
RANGES = """
UPDATE list_imports SET first_entry = made.first_id, last_entry = made.last_id
FROM (
    SELECT import_id, min(id) AS first_id, max(id) AS last_id FROM suppression_entries
    WHERE import_id IS NOT NULL GROUP BY import_id
) AS made
WHERE made.import_id = list_imports.id
"""


def _columns() -> dict[str, list[sa.Column[Any]]]:
    """Return the new columns. With constant defaults, adding them rewrites no rows."""
    nothing = sa.text("0")
    return {
        IMPORTS: [
            sa.Column("file_sha256", sa.String(64), nullable=False, server_default=sa.text("''")),
            *(
                sa.Column(name, INTEGER, nullable=False, server_default=nothing)
                for name in ("read", "added", "already", "rejected")
            ),
            *_range(),
            moment("recorded_at", nullable=True),
            moment("ended_at", nullable=True),
        ],
        OUTBOX: _range(),
    }


def _range() -> list[sa.Column[Any]]:
    return [sa.Column(name, INTEGER, nullable=True) for name in ("first_entry", "last_entry")]


def _partial(name: str, columns: list[str], where: sa.TextClause, *, unique: bool = False) -> None:
    op.create_index(name, ENTRIES, columns, unique=unique, sqlite_where=where, postgresql_where=where)
