"""Entries of the company's own lists, current and lifted, filtered, and searched by the first digits of a number."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from phonenumbers import country_code_for_region, ndd_prefix_for_region
from sqlalchemy import ColumnElement, Row, Select, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from admin_web.queries.paging import PAGE_ROWS, Key, Page, behind, page_of
from admin_web.record.database import Database
from admin_web.record.models import ListImport, SuppressionEntry, UtcDateTime
from admin_web.record.models.suppression import NEVER
from compliance.numbers import E164, InvalidNumber, normalize
from compliance.redis_schema import INTERNAL

LONGEST_SEARCH = 40
LONGEST_NUMBER = 16
LEAST_DIGITS = 2
ROWS_AT_ONCE = 1000
FIRST_PART = 1000
"""How many ids of an import are looked at first."""

IMPORTED = "import"
"""The source of the entries that imports made."""


class EntryState(StrEnum):
    """Whether an entry is current or lifted."""

    STANDING = "standing"
    LIFTED = "lifted"


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry of the list. `lifted_at`, `lifted_by` and `lift_reason` are set for a lifted one.

    An entry with `ends_at` ends by itself. `extended_by` removed its end or moved it to a later moment.
    """

    id: int
    number: str
    list_name: str
    source: str
    lead: str | None
    note: str
    added_at: datetime
    added_by: str
    lifted_at: datetime | None
    lifted_by: str | None
    lift_reason: str | None
    ends_at: datetime | None
    extended_at: datetime | None
    extended_by: str | None


@dataclass(frozen=True, slots=True)
class ListFilter:
    """A filter of entries. `beginning` is the start of the numbers in E.164; empty when `text` is no number."""

    text: str = ""
    beginning: str = ""
    state: EntryState | None = EntryState.STANDING
    source: str = ""
    by: str = ""
    list_name: str = ""

    @property
    def is_of_campaign_list(self) -> bool:
        """Whether only entries of one campaign list match."""
        return self.list_name not in {"", INTERNAL}

    @property
    def key_types(self) -> tuple[type, ...]:
        """Types of the page key."""
        return (str, int) if self.beginning else (int,)


def beginning_of(text: str, region: str, prefix: str = "") -> str:
    """Convert the first digits of a number, in any spelling, to the start of an E.164 number; empty when invalid."""
    try:
        return normalize(text, region, prefix)
    except InvalidNumber:
        pass
    digits = "".join(filter(str.isdecimal, text))
    if not digits.isascii() or any(map(str.isalpha, text)):
        return ""
    if text.startswith("+") or digits.startswith("00"):
        digits = digits.removeprefix("00")
        return f"+{digits}" if digits else ""
    if len(digits) < LEAST_DIGITS:
        return ""
    national = digits.removeprefix(ndd_prefix_for_region(region, True) or "")
    return f"+{country_code_for_region(region)}{national}"


async def entries(
    database: Database, sought: ListFilter, *, after: Key | None = None, rows: int = PAGE_ROWS
) -> Page[ListEntry]:
    """Return a page of entries: newest first, or by number when searching for numbers. Raises DatabaseUnavailable."""
    if sought.text and not sought.beginning:
        return Page(())
    async with database.read() as session:
        if sought.beginning:
            found = await _by_number(session, sought, after, rows + 1)
        elif (sought.source or sought.by) and sought.state is not EntryState.LIFTED:
            found = await _with_imports(session, sought, after, rows + 1)
        elif sought.is_of_campaign_list and sought.state is None:
            states = [replace(sought, state=state) for state in EntryState]
            parts = [await _some(session, _sifted(one), _NEWEST, after, rows + 1) for one in states]
            found = sorted((one for part in parts for one in part), key=lambda entry: -entry.id)[: rows + 1]
        else:
            found = await _some(session, _sifted(sought), _NEWEST, after, rows + 1)
    return page_of(found, lambda entry: (entry.number, entry.id) if sought.beginning else (entry.id,), rows)


async def _by_number(session: AsyncSession, sought: ListFilter, after: Key | None, rows: int) -> list[ListEntry]:
    """Return entries in the order of their numbers. Current and lifted ones have an index each."""
    lifted_at = SuppressionEntry.lifted_at
    parts = {EntryState.STANDING: lifted_at.is_(None), EntryState.LIFTED: lifted_at.is_not(None)}
    wanted = [condition for state, condition in parts.items() if sought.state in {state, None}]
    query = _sifted(replace(sought, state=None))
    found = [one for part in wanted for one in await _some(session, query.where(part), _BY_NUMBER, after, rows)]
    return sorted(found, key=lambda entry: (entry.number, entry.id))[:rows]


async def _with_imports(session: AsyncSession, sought: ListFilter, after: Key | None, rows: int) -> list[ListEntry]:
    """Return the newest entries by source or person: those of imports are found by the range of each import."""
    query, entry, row = _sifted(sought), SuppressionEntry, ListImport
    found = await _some(session, query.where(entry.import_id.is_(None)), _NEWEST, after, rows)
    if sought.source not in {"", IMPORTED}:
        return found
    imports = select(row.id, row.first_entry, row.last_entry).where(row.last_entry.is_not(None))
    if sought.by:
        imports = imports.where(row.imported_by == sought.by)
    if sought.list_name:
        imports = imports.where(row.list_name == sought.list_name)
    for import_id, first, last in await session.execute(imports.order_by(row.last_entry.desc())):
        # Other files may have listed all numbers of an import again, so that a search for its entries reads them all.
        oldest = found[-1].id if len(found) >= rows else 1
        if (last or 0) < oldest:
            break
        made = query.where(entry.import_id == import_id)
        found += await _of_import(session, made, (max(first or 1, oldest), last or 0), after, rows)
        found = sorted(found, key=lambda entry: entry.id, reverse=True)[:rows]
    return found


async def _of_import(
    session: AsyncSession,
    query: Select[*tuple[Any, ...]],
    ids: tuple[int, int],
    after: Key | None,
    rows: int,
) -> list[ListEntry]:
    """Return the newest entries of an import, from parts of its range of ids that become ten times larger.

    PostgreSQL has no statistics of an import that is under way, and would sort all of its entries.
    """
    found, (first, last), size = list[ListEntry](), ids, FIRST_PART
    if after is not None:
        last = min(last, int(str(after[0])) - 1)
    while len(found) < rows and last >= first:
        part = query.where(SuppressionEntry.id.between(max(first, last - size + 1), last))
        found += await _some(session, part, _NEWEST, None, rows - len(found))
        last, size = last - size, size * 10
    return found


async def _some(
    session: AsyncSession,
    query: Select[*tuple[Any, ...]],
    columns: Sequence[InstrumentedAttribute[Any]],
    after: Key | None,
    rows: int,
) -> list[ListEntry]:
    """Return the first rows of a query after a key: newest first, or by number."""
    descending = columns is _NEWEST
    query = query.order_by(*(column.desc() if descending else column for column in columns))
    if after is not None:
        query = query.where(behind(columns, after, descending=descending))
    return [_entry(row) for row in await session.execute(query.limit(rows))]


async def every_entry(database: Database, sought: ListFilter) -> AsyncIterator[ListEntry]:
    """Yield all matching entries, oldest first, from one snapshot, with constant memory."""
    if sought.text and not sought.beginning:
        return
    query = _sifted(sought).order_by(SuppressionEntry.id).execution_options(yield_per=ROWS_AT_ONCE)
    async with database.read() as session:
        async for row in await session.stream(query):
            yield _entry(row)


_NEVER = literal(NEVER, UtcDateTime)
_NEWEST: tuple[InstrumentedAttribute[Any], ...] = (SuppressionEntry.id,)
_BY_NUMBER: tuple[InstrumentedAttribute[Any], ...] = (SuppressionEntry.number, SuppressionEntry.id)

_COLUMNS = (
    SuppressionEntry.id,
    SuppressionEntry.number,
    SuppressionEntry.list_name,
    SuppressionEntry.source,
    SuppressionEntry.lead_id,
    SuppressionEntry.full_note(),
    SuppressionEntry.added_at,
    SuppressionEntry.added_by,
    SuppressionEntry.lifted_at,
    SuppressionEntry.lifted_by,
    SuppressionEntry.lift_reason,
    SuppressionEntry.ends_at,
    SuppressionEntry.extended_at,
    SuppressionEntry.extended_by,
)


async def own_end(session: AsyncSession, number: E164) -> datetime | None:
    """Return when the number's entry on the company's own list ends by itself; None if it is not listed or stays."""
    entry = SuppressionEntry
    standing = select(entry.ends_at).where(
        entry.list_name == INTERNAL, entry.number == number, entry.lifted_at.is_(None)
    )
    return await session.scalar(standing)


async def entries_of(session: AsyncSession, number: E164, rows: int = PAGE_ROWS) -> list[ListEntry]:
    """Return the entries of a number, newest first."""
    query = select(*_COLUMNS).where(SuppressionEntry.of_number(number)).order_by(SuppressionEntry.id.desc())
    return [_entry(row) for row in await session.execute(query.limit(rows))]


def _sifted(sought: ListFilter) -> Select[*tuple[Any, ...]]:
    conditions: list[ColumnElement[bool]] = []
    if sought.beginning:
        last = sought.beginning.ljust(LONGEST_NUMBER, "9")
        conditions.append(SuppressionEntry.number.between(sought.beginning, last))
    if sought.state is EntryState.STANDING and sought.is_of_campaign_list:
        conditions.append(SuppressionEntry.on_campaign_lists())
    elif sought.state is EntryState.STANDING:
        # With this condition instead of IS NULL, PostgreSQL scans from the newest entry. During a long import the
        # statistics are outdated. For IS NULL, PostgreSQL then expects one row in 200 and sorts all current entries
        # (selfuncs.h, DEFAULT_UNK_SEL).
        conditions.append(func.coalesce(SuppressionEntry.lifted_at, _NEVER) <= _NEVER)
    if sought.state is EntryState.LIFTED:
        conditions.append(SuppressionEntry.lifted_at.is_not(None))
    if sought.source:
        conditions.append(SuppressionEntry.source == sought.source)
    if sought.list_name:
        conditions.append(SuppressionEntry.list_name == sought.list_name)
    if sought.by:
        conditions.append(SuppressionEntry.added_by == sought.by)
    return select(*_COLUMNS).where(*conditions)


def _entry(row: "Row[*tuple[Any, ...]]") -> ListEntry:
    return ListEntry(*row)
