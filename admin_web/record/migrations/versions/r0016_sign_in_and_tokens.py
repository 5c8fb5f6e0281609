"""Let first passwords end, keep recovery codes and the site's secrets, and describe API tokens.

Existing passwords have no end. Existing tokens keep their missing end, and have no responsible person, no list of
addresses and the usual rate limit.
"""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import INTEGER, id_column, index, moment, points_at, text_column

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

CODES = "recovery_codes"
SECRETS = "site_secrets"


def upgrade() -> None:
    """Create the tables and add the columns."""
    op.create_table(
        CODES,
        id_column(),
        text_column("user_name", 64),
        text_column("code_hash", 64),
        moment("made_at"),
        moment("used_at", nullable=True),
        points_at("users.name", CODES, "user_name"),
        sa.UniqueConstraint("code_hash", name=f"uq_{CODES}_code_hash"),
    )
    index(CODES, "user_name")
    op.create_table(
        SECRETS,
        sa.Column("name", sa.String(32), primary_key=True),
        text_column("value", 64),
        moment("made_at"),
    )
    op.add_column("users", moment("password_until", nullable=True))
    op.add_column("api_tokens", text_column("responsible", 64, nullable=True))
    op.add_column("api_tokens", sa.Column("addresses", sa.String(1000), nullable=False, server_default=sa.text("''")))
    op.add_column("api_tokens", sa.Column("per_minute", INTEGER, nullable=True))


def downgrade() -> None:
    """Drop the columns and the tables."""
    for column in ("per_minute", "addresses", "responsible"):
        op.drop_column("api_tokens", column)
    op.drop_column("users", "password_until")
    op.drop_table(SECRETS)
    op.drop_table(CODES)
