"""Column definitions for the revisions. A revision must not change when the models do, so no model is imported here."""

from typing import Any

import sqlalchemy as sa
from alembic import op

INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def id_column() -> sa.Column[Any]:
    """Return the primary key `id`, which the database increments."""
    return sa.Column("id", INTEGER, primary_key=True)


def text_column(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    """Return a column for a text of at most `length` characters."""
    return sa.Column(name, sa.String(length), nullable=nullable)


def prose(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    """Return a column for a text of any length."""
    return sa.Column(name, sa.Text(), nullable=nullable)


def json_column(name: str) -> sa.Column[Any]:
    """Return a column for a JSON value, not null."""
    return sa.Column(name, sa.JSON(), nullable=False)


def count(name: str) -> sa.Column[Any]:
    """Return a column for a whole number, not null."""
    return sa.Column(name, INTEGER, nullable=False)


def moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    """Return a column for a moment in UTC."""
    return sa.Column(name, MOMENT, nullable=nullable)


def done(verb: str, *, nullable: bool = False) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Return two columns: when something was done (`{verb}_at`), and by whom (`{verb}_by`)."""
    return moment(f"{verb}_at", nullable=nullable), text_column(f"{verb}_by", 64, nullable=nullable)


def points_at(target: str, table: str, column: str) -> sa.ForeignKeyConstraint:
    """Return a foreign key from `table.column` to `target` (`table.column`), named after the table and the column."""
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def index(table: str, column: str) -> None:
    """Create an index on one column."""
    op.create_index(f"ix_{table}_{column}", table, [column])
