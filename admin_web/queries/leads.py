"""Leads as a list: by name, found by name, id or number, and sifted by state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.queries.lead_state import LeadState, Stand, stands_of
from admin_web.queries.paging import PAGE_ROWS, Key, Page, behind, spelled
from admin_web.record.database import Database
from admin_web.record.dialect import each_of
from admin_web.record.folding import folded
from admin_web.record.models import Lead, Override
from compliance.numbers import E164, InvalidNumber, LeadId, lead_id, normalize

SIFTED_AT_ONCE = 650
MOST_SIFTED = 2_000
"""Leads that are looked at for one page when a state is asked for; the next page goes on behind them."""

LONGEST_SEARCH = 200

_BY_NAME = (Lead.name_folded, Lead.id)


@dataclass(frozen=True, slots=True)
class LeadRow:
    """One lead of the list."""

    id: LeadId
    name: str
    name_folded: str
    number: E164
    queued: bool
    stand: Stand

    @property
    def key(self) -> Key:
        """Where the list goes on behind this lead."""
        return (self.name_folded, self.id)


@dataclass(frozen=True, slots=True)
class LeadFilter:
    """What is looked for: `number` and `lead` when the text reads as one, and whatever else as a name."""

    text: str = ""
    number: E164 | None = None
    lead: LeadId | None = None
    state: LeadState | None = None


@dataclass(frozen=True, slots=True)
class LeadList:
    """One page of leads. `cut_short` tells that it ends because many leads in another state lay between."""

    page: Page[LeadRow]
    cut_short: bool = False


def wanted(text: str, state: str, *, region: str, prefix: str = "") -> LeadFilter:
    """Read what a person typed into the search: a number in any spelling of `region`, an id, or a name."""
    text = text.strip()[:LONGEST_SEARCH]
    try:
        number = normalize(text, region, prefix)
    except InvalidNumber:
        number = None
    return LeadFilter(text, number, lead_id(text), LeadState(state) if state in list(LeadState) else None)


async def lead_list(
    database: Database, sought: LeadFilter, at: datetime, *, after: Key | None = None, rows: int = PAGE_ROWS
) -> LeadList:
    """Give a page of leads in the order of their names. Raises DatabaseUnavailable.

    The lead whose id was typed comes first, on the first page.
    """
    async with database.read() as session:
        exact = [] if after or not sought.lead else await _of_id(session, sought.lead, at)
        found = await _sifted(session, await _query(session, sought, at), sought.state, at, after, rows)
    hits = [row for row in exact if sought.state in {None, row.stand.state}]
    rest = [row for row in found.page.rows if row not in hits]
    return LeadList(Page([*hits, *rest], found.page.next_key), found.cut_short)


_Leads: TypeAlias = Select[str, str, str, str, bool]

_COLUMNS = (Lead.id, Lead.name, Lead.name_folded, Lead.number, Lead.queued)


async def _query(session: AsyncSession, sought: LeadFilter, at: datetime) -> _Leads:
    """Select the leads that are looked for, in the order of their names."""
    query, name = select(*_COLUMNS), folded(sought.text)
    if sought.number:
        query = query.where(Lead.number == sought.number)
    elif name:
        query = query.where(Lead.name_folded.between(name, name + _LAST))
    if sought.state is not LeadState.OVERRIDE:
        return query.order_by(*_BY_NAME)
    live = await session.scalars(
        select(Override.lead_id).where(Override.revoked_at.is_(None), Override.expires_at > at).distinct()
    )
    # They are few, found one by one, and sorted in a moment. With the index on names all leads would be gone through to
    # find them; PostgreSQL would do so for a subquery too, which it thinks cheaper than some thousand single finds.
    few = query.where(Lead.id.in_(select(each_of(session, live.all()))))
    return few.order_by(Lead.name_folded.concat(""), Lead.id)


_LAST = "\U0010ffff"
"""Behind every character that a name can hold: all names that begin with `smi` lie between it and `smi` with this."""


async def lead_of(database: Database, lead: LeadId, at: datetime) -> LeadRow | None:
    """Give one lead as the list shows it; None when there is none. Raises DatabaseUnavailable."""
    async with database.read() as session:
        return next(iter(await _of_id(session, lead, at)), None)


async def _of_id(session: AsyncSession, lead: LeadId, at: datetime) -> list[LeadRow]:
    return await _rows(session, select(*_COLUMNS).where(Lead.id == lead), at)


async def _sifted(
    session: AsyncSession, query: _Leads, state: LeadState | None, at: datetime, after: Key | None, most: int
) -> LeadList:
    """Read on until a page of leads in this state is found, or enough was looked at."""
    kept: list[LeadRow] = []
    # Blocked leads are a tenth of all, say: they are looked for among many at once, the others are found at once.
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
    found = [
        (LeadId(lead), name, name_folded, E164(number), queued)
        for lead, name, name_folded, number, queued in await session.execute(query)
    ]
    stands: Sequence[Stand] = await stands_of(session, [(number, lead) for lead, _, _, number, _ in found], at)
    return [LeadRow(*row, stand) for row, stand in zip(found, stands, strict=True)]
