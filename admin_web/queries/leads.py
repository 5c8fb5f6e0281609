"""The list of leads in the order of their names: searched by name, id or number, and filtered by state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.queries.lead_state import LeadState, NumberStand, Stand, best_of, numbers_stands
from admin_web.queries.paging import PAGE_ROWS, Key, Page, behind, spelled
from admin_web.record.database import Database
from admin_web.record.dialect import each_of
from admin_web.record.folding import folded
from admin_web.record.lead_numbers import LabelledNumber, has_number
from admin_web.record.models import Lead, Override
from compliance.numbers import E164, InvalidNumber, LeadId, lead_id, normalize

SIFTED_AT_ONCE = 650
MOST_SIFTED = 2_000
"""Maximum number of leads that are examined for one page of a state. The next page continues after them."""

LONGEST_SEARCH = 200

_BY_NAME = (Lead.name_folded, Lead.id)


@dataclass(frozen=True, slots=True)
class LeadRow:
    """One lead of the list. `number` is its first number; `stand` is that of the number on which it may be called.

    If it may not be called, `stand` is that of the first number.
    """

    id: LeadId
    name: str
    name_folded: str
    number: E164
    queued: bool
    numbers: Sequence[NumberStand]

    @property
    def stand(self) -> Stand:
        """The stand of the lead."""
        return best_of(self.numbers).stand

    @property
    def key(self) -> Key:
        """Position of the lead in the list."""
        return (self.name_folded, self.id)


@dataclass(frozen=True, slots=True)
class LeadFilter:
    """A search. `number` and `lead` are set if the text can be read as such; otherwise it is the start of a name."""

    text: str = ""
    number: E164 | None = None
    lead: LeadId | None = None
    state: LeadState | None = None


@dataclass(frozen=True, slots=True)
class LeadList:
    """One page of leads. `cut_short` means that the page is short because many examined leads are in another state."""

    page: Page[LeadRow]
    cut_short: bool = False


def wanted(text: str, state: str, *, region: str, prefix: str = "") -> LeadFilter:
    """Parse a search text: a number in any spelling of `region`, an id, or a name."""
    text = text.strip()[:LONGEST_SEARCH]
    try:
        number = normalize(text, region, prefix)
    except InvalidNumber:
        number = None
    return LeadFilter(text, number, lead_id(text), LeadState(state) if state in list(LeadState) else None)


async def lead_list(
    database: Database, sought: LeadFilter, at: datetime, *, after: Key | None = None, rows: int = PAGE_ROWS
) -> LeadList:
    """Return a page of leads in the order of their names. Raises DatabaseUnavailable.

    A lead whose id matches the text comes first, on the first page.
    """
    async with database.read() as session:
        exact = [] if after or not sought.lead else await _of_id(session, sought.lead, at)
        found = await _sifted(session, await _query(session, sought, at), sought.state, at, after, rows)
    hits = [row for row in exact if sought.state in {None, row.stand.state}]
    rest = [row for row in found.page.rows if row not in hits]
    return LeadList(Page([*hits, *rest], found.page.next_key), found.cut_short)


_Leads: TypeAlias = Select[str, str, str, str, str, bool]

_COLUMNS = (Lead.id, Lead.name, Lead.name_folded, Lead.number, Lead.number_label, Lead.queued)


async def _query(session: AsyncSession, sought: LeadFilter, at: datetime) -> _Leads:
    """Build the query, in the order of names."""
    query, name = select(*_COLUMNS), folded(sought.text)
    if sought.number:
        query = query.where(has_number(sought.number))
    elif name:
        query = query.where(Lead.name_folded.between(name, name + _LAST))
    if sought.state is not LeadState.OVERRIDE:
        return query.order_by(*(_SORTED if sought.number else _BY_NAME))
    live = await session.scalars(select(Override.lead_id).where(*Override.opening(at)).distinct())
    # A subquery would scan all leads in PostgreSQL, because the planner considers a scan cheaper than a few thousand
    # look-ups.
    return query.where(Lead.id.in_(select(each_of(session, live.all())))).order_by(*_SORTED)


_SORTED = (Lead.name_folded.concat(""), Lead.id)
"""The order of names for few leads: looking up each by id and then sorting them is fast. A query by the index on names
would scan all leads.
"""

_LAST = "\U0010ffff"
"""The highest code point. All names that begin with `smi` sort between `smi` and `smi` followed by this."""


async def lead_of(database: Database, lead: LeadId, at: datetime) -> LeadRow | None:
    """Return one lead as a row of the list; None when it does not exist. Raises DatabaseUnavailable."""
    async with database.read() as session:
        return next(iter(await _of_id(session, lead, at)), None)


async def _of_id(session: AsyncSession, lead: LeadId, at: datetime) -> list[LeadRow]:
    return await _rows(session, select(*_COLUMNS).where(Lead.id == lead), at)


async def _sifted(
    session: AsyncSession, query: _Leads, state: LeadState | None, at: datetime, after: Key | None, most: int
) -> LeadList:
    """Read leads until a page in this state is full, or MOST_SIFTED leads have been examined."""
    kept: list[LeadRow] = []
    # Blocked leads are rare (about a tenth), so examine many leads at once. Leads in other states fill a page quickly.
    at_once, looked_at = SIFTED_AT_ONCE if state in {LeadState.DO_NOT_CALL, LeadState.BLOCKED} else most + 1, 0
    while looked_at < MOST_SIFTED:
        onward = query if after is None else query.where(_behind(after))
        found = await _rows(session, onward.limit(at_once), at)
        looked_at += len(found)
        for row in found:
            if state in {None, row.stand.state}:
                if len(kept) == most:
                    return LeadList(Page(kept, spelled(kept[-1].key)))
                kept.append(row)
        if len(found) < at_once:
            return LeadList(Page(kept))
        after, at_once = found[-1].key, min(2 * at_once, SIFTED_AT_ONCE)
    return LeadList(Page(kept, spelled(after or ())), cut_short=True)


def _behind(after: Key) -> ColumnElement[bool]:
    return behind(_BY_NAME, after, descending=False)


async def _rows(session: AsyncSession, query: _Leads, at: datetime) -> list[LeadRow]:
    found = (await session.execute(query)).all()
    firsts = [(LeadId(row.id), LabelledNumber(E164(row.number), row.number_label)) for row in found]
    stands = await numbers_stands(session, firsts, at)
    return [
        LeadRow(LeadId(row.id), row.name, row.name_folded, E164(row.number), row.queued, numbers)
        for row, numbers in zip(found, stands, strict=True)
    ]
