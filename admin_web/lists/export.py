"""Export of the company's own list as CSV, from one database snapshot."""

import csv
import io
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from sqlalchemy import ColumnElement, select, type_coerce
from sqlalchemy.types import NullType

from admin_web.lists.spreadsheet import defused
from admin_web.record.database import Database
from admin_web.record.models import SuppressionEntry
from compliance.redis_schema import INTERNAL

COLUMNS = ("number", "source", "note", "lead", "added_at", "added_by")
LIFTED_COLUMNS = ("lifted_at", "lifted_by", "lift_reason")
ROWS_AT_A_TIME = 5_000
REMEMBERED = 1_000
"""How many different contents of the columns after the number are remembered. Those of one import differ only in their
moment, which 5,000 entries share.
"""


async def export_numbers(database: Database, out: TextIO, *, lifted: bool = False, list_name: str = INTERNAL) -> int:
    """Write the current entries, oldest first, or with `lifted` all entries. Return their number.

    Moments are ISO 8601 in UTC. Cells are defused. Numbers stay unchanged, so that the file can be imported again.
    """
    entry = SuppressionEntry
    plain = entry.__table__.columns  # Selecting plain columns skips SQLAlchemy's object mapper.
    chosen = [plain.number, plain.source, entry.full_note(), plain.lead_id, _undecoded(plain.added_at), plain.added_by]
    chosen += [_undecoded(plain.lifted_at), plain.lifted_by, plain.lift_reason] if lifted else []
    statement = select(*chosen).where(plain.list_name == list_name).order_by(plain.id)
    if not lifted:
        statement = statement.where(plain.lifted_at.is_(None))
    csv.writer(out).writerow(COLUMNS + LIFTED_COLUMNS if lifted else COLUMNS)
    count = 0
    async with database.read() as session:
        rows = await (await session.connection()).stream(statement.execution_options(yield_per=ROWS_AT_A_TIME))
        async for some in rows.partitions():
            out.write("".join([f"{row[0]},{_after_number(row[1:])}" for row in some]))
            count += len(some)
    return count


def _undecoded(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column of moments as the driver returns them. Decoding each of a million would take seconds."""
    return type_coerce(moment, NullType)


@lru_cache(REMEMBERED)
def _after_number(cells: tuple[Any, ...]) -> str:
    """Return the rest of a line after the number. A number needs no quotation marks."""
    source, note, lead, added_at, *others = cells
    texts = [source, note, lead, _moment(added_at), *others]
    if len(others) > 1:
        texts[5] = _moment(others[1])
    out = io.StringIO(newline="")
    csv.writer(out).writerow(defused("" if text is None else text) for text in texts)
    return out.getvalue()


def _moment(value: datetime | str | None) -> str:
    """Return a moment of PostgreSQL, or the text that SQLite stores, as text in UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if moment is None:
        return ""
    return str(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))
