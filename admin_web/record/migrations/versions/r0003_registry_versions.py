"""Record for each version of a registry what its file contained and what the version changed.

No earlier release wrote versions, so both tables are empty. They are dropped and created again.
"""

import sqlalchemy as sa
from alembic import op

from admin_web.record.migrations.spelling import (
    INTEGER,
    count,
    done,
    id_column,
    index,
    json_column,
    moment,
    points_at,
    text_column,
)

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of versions again, with the new columns."""
    _remake(
        text_column("kind", 16),
        sa.Column("base_id", INTEGER),
        text_column("format", 32),
        count("file_bytes"),
        *(count(name) for name in ("numbers", "exchanges", "added", "removed")),
        json_column("area_codes"),
        sa.Column("may_shrink", sa.Boolean(), nullable=False),
        moment("beat_at", nullable=True),
    )
    index("registry_versions", "whole_at")


def downgrade() -> None:
    """Create the tables again as they were before."""
    _remake()


def _remake(*known: sa.Column[object]) -> None:
    op.drop_table("registry_exchanges")
    op.drop_table("registry_versions")
    op.create_table(
        "registry_versions",
        id_column(),
        text_column("registry_name", 32),
        moment("obtained_at"),
        text_column("file_name", 255),
        text_column("file_sha256", 64),
        count("accepted"),
        count("rejected"),
        *done("imported"),
        moment("whole_at", nullable=True),
        *known,
        points_at("registries.name", "registry_versions", "registry_name"),
    )
    index("registry_versions", "registry_name")
    op.create_table(
        "registry_exchanges",
        count("version_id"),
        text_column("exchange", 11),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "exchange", name="pk_registry_exchanges"),
        points_at("registry_versions.id", "registry_exchanges", "version_id"),
    )
