"""How revisions spell columns. A revision stays what it was when the models move on, so this knows no model."""

from typing import Any

import sqlalchemy as sa
from alembic import op

INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def id_column() -> sa.Column[Any]:
    """The key that the database counts up."""
    return sa.Column("id", INTEGER, primary_key=True)


def text_column(name: str, length: int, *, nullable: bool = False) -> sa.Column[Any]:
    """A text of at most `length` characters."""
    return sa.Column(name, sa.String(length), nullable=nullable)


def prose(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    """A text of any length."""
    return sa.Column(name, sa.Text(), nullable=nullable)


def json_column(name: str) -> sa.Column[Any]:
    """Values as JSON."""
    return sa.Column(name, sa.JSON(), nullable=False)


def count(name: str) -> sa.Column[Any]:
    """A whole number."""
    return sa.Column(name, INTEGER, nullable=False)


def moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    """A moment in UTC."""
    return sa.Column(name, MOMENT, nullable=nullable)


def done(verb: str, *, nullable: bool = False) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Give the pair of columns that says when something was done, and by whom."""
    return moment(f"{verb}_at", nullable=nullable), text_column(f"{verb}_by", 64, nullable=nullable)


def points_at(target: str, table: str, column: str) -> sa.ForeignKeyConstraint:
    """A foreign key."""
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def index(table: str, column: str) -> None:
    """An index on one column."""
    op.create_index(f"ix_{table}_{column}", table, [column])
