"""Record each person's own request not to be called, and what a consent is compared with.

Existing entries that came from a request become requests too, dated with the day of the entry in UTC. Entries from
imports and from the demo data do not become requests, because the date of such an entry is not the date of a request.
"""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import INTEGER, done, id_column, index, moment, points_at, prose, text_column

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

REQUESTS = "do_not_call_requests"

EMPTY = sa.text("''")


def upgrade() -> None:
    """Create the table, add the columns, and fill both from what is on record."""
    op.create_table(
        REQUESTS,
        id_column(),
        text_column("number", 16),
        sa.Column("asked_on", sa.Date(), nullable=False),
        text_column("source", 32),
        text_column("lead_id", 64, nullable=True),
        prose("note"),
        *done("recorded"),
        *done("withdrawn", nullable=True),
        prose("withdraw_reason", nullable=True),
        points_at("leads.id", REQUESTS, "lead_id"),
    )
    op.create_index(f"ix_{REQUESTS}_number_asked_on", REQUESTS, ["number", "asked_on"])
    index(REQUESTS, "lead_id")
    for column in _columns():
        op.add_column("overrides", column)
    _fill()


def downgrade() -> None:
    """Drop the columns and the table."""
    for column in reversed(_columns()):
        op.drop_column("overrides", column.name)
    op.drop_table(REQUESTS)


def _columns() -> list[sa.Column[object]]:
    """Return the new columns of `overrides`. With constant defaults, adding them rewrites no rows."""
    return [
        sa.Column("counts_from", sa.Date(), nullable=False, server_default=sa.text("'1970-01-01'")),
        sa.Column("same_day_reason", sa.Text(), nullable=False, server_default=EMPTY),
        sa.Column("tie", sa.String(16), nullable=False, server_default=EMPTY),
        sa.Column("seller", sa.String(200), nullable=False, server_default=EMPTY),
        sa.Column("purpose", sa.String(200), nullable=False, server_default=EMPTY),
        sa.Column("request_shown", sa.Text(), nullable=False, server_default=EMPTY),
        sa.Column("signature", sa.String(200), nullable=False, server_default=EMPTY),
        sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.false()),
        moment("kept_at", nullable=True),
        text_column("kept_by", 64, nullable=True),
        prose("keep_reason", nullable=True),
        sa.Column("ended_by_request", INTEGER, nullable=True),
    ]


def _fill() -> None:
    postgres = op.get_bind().dialect.name == "postgresql"
    day = "(%s AT TIME ZONE 'UTC')::date" if postgres else "date(%s)"
    op.execute(
        f"INSERT INTO {REQUESTS} (number, asked_on, source, lead_id, note, recorded_at, recorded_by) "  # noqa: S608
        f"SELECT number, {day % 'added_at'}, source, lead_id, note, added_at, added_by FROM suppression_entries "
        "WHERE list_name = 'internal' AND source NOT IN ('import', 'demo') ORDER BY id"
    )
    earlier = "least" if postgres else "min"
    op.execute(f"UPDATE overrides SET counts_from = {earlier}(consented_on, {day % 'placed_at'})")  # noqa: S608
