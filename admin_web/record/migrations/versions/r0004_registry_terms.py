"""Record the terms on which each registry applies, and when each area code of a version was obtained.

No earlier release wrote registries, so the three tables are empty. They are dropped and created again.
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

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of registries again, with their terms."""
    terms: tuple[sa.Column[object], ...] = (
        sa.Column("by_area_code", sa.Boolean(), nullable=False),
        count("fresh_days"),
        text_column("when_stale", 8),
        text_column("when_uncovered", 8),
        json_column("spared"),
        *done("changed", nullable=True),
    )
    _remake(terms, (json_column("obtained"),))


def downgrade() -> None:
    """Create the tables again as they were before."""
    _remake((), ())


def _remake(terms: tuple[sa.Column[object], ...], known: tuple[sa.Column[object], ...]) -> None:
    for table in ("registry_exchanges", "registry_versions", "registries"):
        op.drop_table(table)
    op.create_table(
        "registries",
        text_column("name", 32),
        text_column("country", 2),
        text_column("owner_account", 64, nullable=True),
        json_column("area_codes"),
        sa.Column("version_in_force_id", INTEGER),
        *done("created"),
        *terms,
        sa.PrimaryKeyConstraint("name", name="pk_registries"),
    )
    _versions(known)
    op.create_table(
        "registry_exchanges",
        count("version_id"),
        text_column("exchange", 11),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "exchange", name="pk_registry_exchanges"),
        points_at("registry_versions.id", "registry_exchanges", "version_id"),
    )


def _versions(known: tuple[sa.Column[object], ...]) -> None:
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
        text_column("kind", 16),
        sa.Column("base_id", INTEGER),
        text_column("format", 32),
        count("file_bytes"),
        *(count(name) for name in ("numbers", "exchanges", "added", "removed")),
        json_column("area_codes"),
        sa.Column("may_shrink", sa.Boolean(), nullable=False),
        moment("beat_at", nullable=True),
        *known,
        points_at("registries.name", "registry_versions", "registry_name"),
    )
    index("registry_versions", "registry_name")
    index("registry_versions", "whole_at")
