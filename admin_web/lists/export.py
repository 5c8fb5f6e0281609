"""Export of the company's own list as CSV, from one database snapshot."""

import csv
from typing import TextIO

from sqlalchemy import select

from admin_web.lists.spreadsheet import defused
from admin_web.record.database import Database
from admin_web.record.models import SuppressionEntry
from compliance.redis_schema import INTERNAL

COLUMNS = ("number", "source", "note", "lead", "added_at", "added_by")
LIFTED_COLUMNS = ("lifted_at", "lifted_by", "lift_reason")
ROWS_AT_A_TIME = 1000


async def export_numbers(database: Database, out: TextIO, *, lifted: bool = False, list_name: str = INTERNAL) -> int:
    """Write the current entries, oldest first, or with `lifted` all entries. Return their number.

    Moments are ISO 8601 in UTC. Cells are defused. Numbers stay unchanged, so that the file can be imported again.
    """
    entry = SuppressionEntry
    chosen = [entry.number, entry.source, entry.note, entry.lead_id, entry.added_at, entry.added_by]
    chosen += [entry.lifted_at, entry.lifted_by, entry.lift_reason] if lifted else []
    statement = select(*chosen).where(entry.list_name == list_name).order_by(entry.id)
    if not lifted:
        statement = statement.where(entry.lifted_at.is_(None))
    writer = csv.writer(out)
    writer.writerow(COLUMNS + LIFTED_COLUMNS if lifted else COLUMNS)
    count = 0
    async with database.read() as session:
        async for row in await session.stream(statement.execution_options(yield_per=ROWS_AT_A_TIME)):
            writer.writerow(defused("" if value is None else str(value)) for value in row)
            count += 1
    return count
