"""Judging a list of numbers by the rule that judges calls, from the system of record.

SQL is the truth that Redis follows: a scrub needs no Redis, and sees a change as soon as it is recorded.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import TextIO

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.columns import LEAD_NAMES, SAMPLE, is_heading, named_column, number_column
from admin_web.database import Database
from admin_web.importing import RowRejected, is_number, read_number, without_heading
from admin_web.report import defused
from admin_web.services.facts import facts_on_record
from admin_web.sheet import Row, Sheet
from compliance.numbers import E164, InvalidNumber, LeadId, lead_id
from compliance.policy import Facts, decide

COLUMNS = ("row", "number", "lead", "verdict", "reason", "detail")
CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """One row of a sheet: what it asks about."""

    row: Row
    number: E164 | InvalidNumber
    lead: LeadId | None


@dataclass(slots=True)
class Scrubbed:
    """How many rows were judged, and how many of them may be dialled."""

    rows: int = 0
    allowed: int = 0


async def scrub(
    database: Database, sheet: Sheet, out: TextIO, *, region: str, column: str | None = None, at: datetime
) -> Scrubbed:
    """Write a verdict for each row of a sheet, in its order, as of one snapshot at `at` (aware UTC).

    A column named lead is honoured: an override opens its lead. Raises NotASheet, DatabaseUnavailable.
    """
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    done = Scrubbed()
    questions = _questions(sheet, region, column)
    async with database.read() as session:
        while chunk := list(islice(questions, CHUNK)):
            for asked, facts in zip(chunk, await _facts(session, chunk, at), strict=True):
                ruling = decide(asked.number, facts, at)
                number = "" if isinstance(asked.number, InvalidNumber) else asked.number
                said = (ruling.verdict.value, ruling.reason, ruling.detail)
                writer.writerow((defused(asked.row.text), number, asked.lead or "", *said))
                done.rows += 1
                done.allowed += ruling.verdict == "ALLOW"
    return done


def _questions(sheet: Sheet, region: str, column: str | None) -> Iterator[Asked]:
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    first = next((row.cells for row in sample if row.cells), [])
    place = number_column(sample, column, lambda cell: is_number(cell, region))
    lead_place = named_column(first, LEAD_NAMES)
    for row in without_heading(chain(sample, rows), lambda cells: len(cells) > place and is_heading(cells[place])):
        cells = row.cells or []
        lead = lead_id(cells[lead_place]) if lead_place is not None and len(cells) > lead_place else None
        yield Asked(row, _number(row, place, len(first), region), lead)


def _number(row: Row, place: int, width: int, region: str) -> E164 | InvalidNumber:
    if row.cells is None:
        return InvalidNumber("malformed")
    try:
        return read_number(row.cells, place, width, region)
    except RowRejected as rejected:
        return InvalidNumber(rejected.reason)


async def _facts(session: AsyncSession, chunk: Sequence[Asked], at: datetime) -> list[Facts | None]:
    """Gather from SQL what Redis would have said of each row; None for a row without a number."""
    asked = [(row.number, row.lead) for row in chunk if not isinstance(row.number, InvalidNumber)]
    found = iter(await facts_on_record(session, asked, at))
    return [None if isinstance(row.number, InvalidNumber) else next(found) for row in chunk]
