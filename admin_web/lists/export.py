"""Export of the company's own list as CSV, from one database snapshot."""

import csv
import io
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from sqlalchemy import ColumnElement, String, case, cast, func, select

from admin_web.lists.spreadsheet import defused
from admin_web.record.database import Database
from admin_web.record.models import ListImport, SuppressionEntry
from compliance.redis_schema import INTERNAL

COLUMNS = ("number", "source", "note", "lead", "added_at", "added_by", "ends_at")
LIFTED_COLUMNS = ("lifted_at", "lifted_by", "lift_reason")
MOMENTS = (3, 5, 6)
"""The places of the moments after the number. The last one is that of lifted entries."""

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
    # A join, because a subquery for the note of the import would run for each row.
    note = case((plain.note != "", plain.note), else_=func.coalesce(ListImport.note, ""))
    chosen = [plain.number, plain.source, note, plain.lead_id, _as_text(plain.added_at), plain.added_by]
    chosen.append(_as_text(plain.ends_at))
    chosen += [_as_text(plain.lifted_at), plain.lifted_by, plain.lift_reason] if lifted else []
    statement = select(*chosen).select_from(entry).outerjoin(ListImport, ListImport.id == plain.import_id)
    statement = statement.where(plain.list_name == list_name).order_by(plain.id)
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


def _as_text(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column of moments as text. Decoding each of a million moments would take seconds."""
    return cast(moment, String)


@lru_cache(REMEMBERED)
def _after_number(cells: tuple[Any, ...]) -> str:
    """Return the rest of a line after the number. A number needs no quotation marks."""
    texts = list(cells)
    for place in MOMENTS:
        texts[place : place + 1] = map(_moment, texts[place : place + 1])
    out = io.StringIO(newline="")
    csv.writer(out).writerow(defused(text or "") for text in texts)
    return out.getvalue()


def _moment(text: str | None) -> str:
    """Return the text of a moment as ISO 8601 in UTC. SQLite stores no zone."""
    if text is None:
        return ""
    moment = datetime.fromisoformat(text)
    return str(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))
