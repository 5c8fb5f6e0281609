"""Audit events: who did what, when, from where, to which subject."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.queries.paging import PAGE_ROWS, Page, page_of
from admin_web.record.database import Database
from admin_web.record.models import AuditEvent

AuditSelect: TypeAlias = "Select[*tuple[Any, ...]]"


class AuditPosition(NamedTuple):
    """Position of an event in the order of time: its moment (aware UTC), and its id to break ties."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """A filter of events; empty fields match all. A subject is given by kind, or by kind and id.

    `since` is inclusive, `until` is exclusive.
    """

    by: str = ""
    action: str = ""
    kind: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditSeen:
    """One audit event."""

    id: int
    at: datetime
    by: str
    address: str
    action: str
    kind: str
    subject: str
    particulars: dict[str, Any]

    @property
    def place(self) -> AuditPosition:
        """Position of the event in the order of time."""
        return AuditPosition(self.at, self.id)


async def event_page(
    database: Database, sought: AuditFilter, behind: AuditPosition | None = None, rows: int = PAGE_ROWS
) -> Page[AuditSeen]:
    """Return a page of events, latest first, starting after a position."""
    async with database.read() as session:
        return page_of(await _events(session, sought, behind, rows + 1), lambda event: event.place, rows)


async def every_event(database: Database, sought: AuditFilter, at_a_time: int = 250) -> AsyncIterator[AuditSeen]:
    """Yield all events, latest first, read in batches with one transaction each."""
    behind: AuditPosition | None = None
    while True:
        async with database.read() as session:
            events = await _events(session, sought, behind, at_a_time)
        for event in events:
            yield event
        if len(events) < at_a_time:
            return
        behind = events[-1].place


async def _events(
    session: AsyncSession, sought: AuditFilter, behind: AuditPosition | None, most: int
) -> list[AuditSeen]:
    asked = _asked(sought, bounded=behind is not None)
    if behind is not None:
        later = or_(AuditEvent.done_at < behind.at, AuditEvent.id < behind.id)
        asked = asked.where(and_(AuditEvent.done_at <= behind.at, later))
    asked = asked.order_by(AuditEvent.done_at.desc(), AuditEvent.id.desc()).limit(most)
    return [AuditSeen(*row) for row in await session.execute(asked)]


def _asked(sought: AuditFilter, *, bounded: bool) -> AuditSelect:
    """Build the query. With a position (`bounded`), omit `until`: SQLite may otherwise scan from the wrong bound."""
    table = AuditEvent
    asked: AuditSelect = select(
        table.id, table.done_at, table.done_by, table.done_from, table.action, table.subject_kind,
        table.subject_id, table.particulars,
    )  # fmt: skip
    exact = {
        table.done_by: sought.by,
        table.action: sought.action,
        table.subject_kind: sought.kind,
        table.subject_id: sought.subject,
    }
    asked = asked.where(*(column == value for column, value in exact.items() if value))
    if sought.since:
        asked = asked.where(table.done_at >= sought.since)
    return asked.where(table.done_at < sought.until) if sought.until and not bounded else asked
