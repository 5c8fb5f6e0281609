"""Ends of entries: what a second listing does to the end of a standing entry. A request removes every end."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, literal, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Change
from admin_web.record.dialect import each_of, hold
from admin_web.record.models import DoNotCallRequest, SuppressionEntry, UtcDateTime
from compliance.ends import later

ENDS = 0x646E635F656E6473
"""The key of PostgreSQL's advisory lock of ends ("dnc_ends" in ASCII). Imports share it; the worker holds it alone
while it lifts ended entries. Without it, an import could find an entry on the list that is lifted at the same moment.
"""

_FOREVER = literal(datetime(9999, 12, 31, tzinfo=UTC), UtcDateTime)


async def stay_listed(session: AsyncSession) -> None:
    """Let no entry end until the transaction is over."""
    await hold(session, ENDS, shared=True)


async def let_end(session: AsyncSession) -> None:
    """Wait until nobody relies on entries that may end, and hold others off until the transaction is over."""
    await hold(session, ENDS)


def end_unless_asked(number: ColumnElement[str], ends_at: datetime | None) -> ColumnElement[Any]:
    """Return the end of a new entry as an SQL value. If a request stands on the number, the entry has no end."""
    end = literal(ends_at, UtcDateTime)
    if ends_at is None:
        return end
    asked = exists().where(DoNotCallRequest.number == number, DoNotCallRequest.withdrawn_at.is_(None))
    return case((asked, null()), else_=end)


def extend_entry(change: Change, entry: SuppressionEntry, ends_at: datetime | None) -> None:
    """Let a locked entry end at `ends_at` if that is later than its end; None removes the end."""
    end = later(entry.ends_at, ends_at)
    if end != entry.ends_at:
        entry.note = SuppressionEntry.full_note().element
        entry.ends_at, entry.extended_at, entry.extended_by, entry.import_id = end, change.at, change.actor.name, None


async def extend(
    change: Change, list_name: str, numbers: Collection[str], ends_at: datetime | None, import_id: int | None = None
) -> int:
    """Let the standing entries of these numbers end at `ends_at` where that is later. Returns how many changed.

    The entry of another import then belongs to no import, so that undoing that one does not lift it. It takes the note
    of its import along.
    """
    entry = SuppressionEntry
    until = _FOREVER if ends_at is None else literal(ends_at, UtcDateTime)
    earlier = (
        update(entry)
        .where(
            entry.list_name == list_name,
            entry.number.in_(select(each_of(change.session, numbers))),
            entry.lifted_at.is_(None),
            # With COALESCE, SQLite finds the entries by number, and never walks all entries that have an end.
            func.coalesce(entry.ends_at, _FOREVER) < until,
        )
        .values(
            ends_at=ends_at,
            extended_at=change.at,
            extended_by=change.actor.name,
            note=case((entry.import_id == import_id, entry.note), else_=entry.full_note().element),
            import_id=case((entry.import_id == import_id, entry.import_id), else_=null()),
        )
    )
    connection = await change.session.connection()
    return (await connection.execute(earlier)).rowcount
