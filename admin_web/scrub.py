"""Judging a list of numbers by the rule that judges calls, from the system of record.

SQL is the truth that Redis follows: a scrub needs no Redis, and sees a change as soon as it is recorded. A list may be
long: it is read and judged in chunks, and memory holds one of them.
"""

import asyncio
import csv
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import NamedTuple, TextIO

from pydantic_core import from_json

from admin_web.columns import LEAD_NAMES, SAMPLE, is_heading, named_column, number_column
from admin_web.database import Database
from admin_web.importing import RowRejected, is_number, read_number, without_heading
from admin_web.report import defused
from admin_web.services.facts import rulings_on_record
from admin_web.services.listing import Shelf
from admin_web.sheet import Row, Sheet
from compliance.numbers import E164, InvalidNumber, LeadId, lead_id, normalize
from compliance.verdict import Ruling, Verdict

COLUMNS = ("row", "number", "lead", "verdict", "reason", "detail")
CHUNK = 4_000


class Asked(NamedTuple):
    """One row of a list, by the line that it starts on: what it asks about."""

    line: int
    text: str
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
    async with aclosing(judged(database, asked_of_sheet(sheet, region, column), at)) as chunks:
        async for chunk in chunks:
            for asked, ruling in chunk:
                number = "" if isinstance(asked.number, InvalidNumber) else asked.number
                said = (ruling.verdict.value, ruling.reason, ruling.detail)
                writer.writerow((defused(asked.text), number, asked.lead or "", *said))
            done.rows += len(chunk)
            done.allowed += sum(ruling.verdict is Verdict.ALLOW for _, ruling in chunk)
    return done


async def judged(
    database: Database, asked: Iterator[Asked], at: datetime
) -> AsyncGenerator[Sequence[tuple[Asked, Ruling]]]:
    """Rule on row after row, in chunks, as of one snapshot at `at` (aware UTC).

    Rows are read in a thread: whoever else the process serves does not wait for them.
    """
    shelf = Shelf()
    async with database.read() as session:
        while chunk := await asyncio.to_thread(list, islice(asked, CHUNK)):
            rulings = await rulings_on_record(session, [(row.number, row.lead) for row in chunk], at, shelf)
            yield list(zip(chunk, rulings, strict=True))


def asked_of_lines(lines: Iterable[bytes], region: str) -> Iterator[Asked]:
    """Read one number per line; blank lines ask nothing."""
    for place, line in enumerate(lines, start=1):
        if text := line.decode("utf-8", "replace").strip():
            yield Asked(place, text, _number_of(text, region), None)


def asked_of_json(lines: Iterable[bytes], region: str) -> Iterator[Asked]:
    """Read one JSON object per line, `{"number": "…", "lead": "…"}`, the lead if there is one."""
    for place, line in enumerate(lines, start=1):
        if line := line.strip():
            try:
                match from_json(line):
                    case {"number": str() as number, "lead": str() as lead}:
                        yield Asked(place, number, _number_of(number, region), lead_id(lead))
                    case {"number": str() as number}:
                        yield Asked(place, number, _number_of(number, region), None)
                    case _:
                        yield Asked(place, "", InvalidNumber("malformed"), None)
            except ValueError:
                yield Asked(place, "", InvalidNumber("malformed"), None)


def asked_of_sheet(sheet: Sheet, region: str, column: str | None = None) -> Iterator[Asked]:
    """Read the number's column of a sheet, and its lead's if there is one. Raises NotASheet."""
    rows = iter(sheet)
    sample = list(islice(rows, SAMPLE))
    first = next((row.cells for row in sample if row.cells), [])
    place = number_column(sample, column, lambda cell: is_number(cell, region))
    lead_place = named_column(first, LEAD_NAMES)
    for row in without_heading(chain(sample, rows), lambda cells: len(cells) > place and is_heading(cells[place])):
        cells = row.cells or []
        lead = lead_id(cells[lead_place]) if lead_place is not None and len(cells) > lead_place else None
        yield Asked(row.line, row.text, _number_in(row, place, len(first), region), lead)


def _number_in(row: Row, place: int, width: int, region: str) -> E164 | InvalidNumber:
    if row.cells is None:
        return InvalidNumber("malformed")
    try:
        return read_number(row.cells, place, width, region)
    except RowRejected as rejected:
        return InvalidNumber(rejected.reason)


def _number_of(text: str, region: str) -> E164 | InvalidNumber:
    try:
        return normalize(text, region)
    except InvalidNumber as error:
        return error
