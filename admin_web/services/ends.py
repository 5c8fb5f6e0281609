"""Ends of entries: what a second listing does to the end of a standing entry. A request removes every end."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, literal, null, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.batches import batches
from admin_web.record.changes import Change
from admin_web.record.dialect import hold
from admin_web.record.models import DoNotCallRequest, SuppressionEntry, UtcDateTime
from compliance.ends import later
from compliance.numbers import E164

ENDS = 0x646E635F656E6473
"""The key of PostgreSQL's advisory lock of ends ("dnc_ends" in ASCII). Imports share it; who lifts ended entries, or
those of an import, holds it alone. Without it, an import could find an entry on the list that is lifted at the same
moment.
"""

_FOREVER = literal(datetime(9999, 12, 31, tzinfo=UTC), UtcDateTime)


def end_on_record(ends_at: datetime | None) -> dict[str, str]:
    """Return the end of an entry as data of audit and webhook events; nothing if it has none."""
    return {"ends_at": _spelled(ends_at)} if ends_at else {}


def _spelled(ends_at: datetime) -> str:
    return f"{ends_at:%Y-%m-%dT%H:%M:%SZ}"


def with_ends(
    numbers: Mapping[E164, datetime | None], most: int
) -> Iterator[tuple[list[str], Mapping[str, str | dict[str, str]]]]:
    """Yield the numbers of new entries for webhooks, up to `most` at a time, and the data that say when they end.

    `ends_at` is the end that all of them share. If they differ, `ends` has the end of each number that has one. With an
    event for each end, a file with an end of its own in each row would send one for nearly every number.
    """
    for some in batches(list(numbers), most):
        if len({numbers[number] for number in some}) == 1:
            yield [*some], end_on_record(numbers[some[0]])
        else:
            yield [*some], {"ends": {number: _spelled(end) for number in some if (end := numbers[number])}}


async def stay_listed(session: AsyncSession) -> None:
    """Let no entry end until the transaction is over."""
    await hold(session, ENDS, shared=True)


async def let_end(session: AsyncSession) -> None:
    """Wait until nobody relies on entries that may end, and hold others off until the transaction is over."""
    await hold(session, ENDS)


def end_of(ends_at: ColumnElement[datetime] | datetime | None) -> ColumnElement[Any]:
    """Return an end as an SQL value: a column that has an end for each number, or one end for all."""
    return ends_at if isinstance(ends_at, ColumnElement) else literal(ends_at, UtcDateTime)


def end_unless_asked(
    number: ColumnElement[str], ends_at: ColumnElement[datetime] | datetime | None
) -> ColumnElement[Any]:
    """Return the end of a new entry as an SQL value. If a request stands on the number, the entry has no end."""
    if ends_at is None:
        return end_of(None)
    asked = exists().where(DoNotCallRequest.number == number, DoNotCallRequest.withdrawn_at.is_(None))
    return case((asked, null()), else_=end_of(ends_at))


def extend_entry(change: Change, entry: SuppressionEntry, ends_at: datetime | None, *, asked: bool = False) -> None:
    """Let a locked entry end at `ends_at` if that is later than its end; None removes the end.

    The entry of an import then belongs to no import, as in `list_again`.
    """
    end = later(entry.ends_at, ends_at)
    if entry.import_id is not None and (end != entry.ends_at or not asked):
        entry.note, entry.import_id = SuppressionEntry.full_note().element, None
    if end != entry.ends_at:
        entry.ends_at, entry.extended_at, entry.extended_by = end, change.at, change.actor.name


async def list_again(
    change: Change,
    list_name: str,
    number: ColumnElement[str],
    ends_at: ColumnElement[datetime] | datetime | None,
    import_id: int | None = None,
    *,
    asked: bool = False,
) -> None:
    """Let the standing entries of numbers end at `ends_at` where that is later. `number` is a column of `each_of`.

    The entry of another import then belongs to no import, so that undoing that one does not open a number that was
    listed again since. It takes the note of its import along. With `asked`, the person's request is what keeps the
    number listed, so only an entry whose end moves leaves its import.
    """
    entry, end = SuppressionEntry, end_of(ends_at)
    # With COALESCE, SQLite finds the entries by number, and never walks all entries that have an end.
    ends_earlier = func.coalesce(entry.ends_at, _FOREVER) < func.coalesce(end, _FOREVER)
    is_of_another = entry.import_id.is_not(None) if import_id is None else entry.import_id != import_id
    again = (
        update(entry)
        .where(
            entry.list_name == list_name,
            entry.number == number,
            entry.lifted_at.is_(None),
            ends_earlier if asked else or_(ends_earlier, is_of_another),
        )
        .values(
            ends_at=case((ends_earlier, end), else_=entry.ends_at),
            extended_at=case((ends_earlier, literal(change.at, UtcDateTime)), else_=entry.extended_at),
            extended_by=case((ends_earlier, change.actor.name), else_=entry.extended_by),
            note=case((is_of_another, entry.full_note().element), else_=entry.note),
            import_id=case((is_of_another, null()), else_=entry.import_id),
        )
    )
    await (await change.session.connection()).execute(again)
