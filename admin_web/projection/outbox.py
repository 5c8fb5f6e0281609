"""The outbox: rows that name what has changed in SQL and must reach Redis."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.batches import batches
from admin_web.projection.truth import Subjects
from admin_web.record.models import OutboxRow, SuppressionEntry

ROWS_AT_ONCE = 100
NUMBERS_AT_ONCE = 2_000
"""Maximum number of outbox rows, and approximate maximum of telephone numbers, in one transaction of Redis.

Such a transaction takes about 2 ms, during which Redis serves no other client.
"""

MOST_COUNTED = 10_000

IDS_AT_ONCE = 5_000
"""Maximum number of ids in one statement. SQLite allows 32,766 parameters (limits.html)."""


class OutboxChange(NamedTuple):
    """A row and its subjects: numbers on a list, or the overrides of a lead on numbers.

    A row without numbers is about terms, unless it has the ids of a range of entries. Then `_with_numbers` reads them.
    """

    id: int
    list_name: str | None
    lead_id: str | None
    numbers: list[str]
    first_entry: int | None = None
    last_entry: int | None = None
    current: frozenset[str] = frozenset()
    """Those of a range's numbers whose entry is not lifted."""

    @property
    def size(self) -> int:
        """How many numbers the row has, at most."""
        if self.first_entry is None or self.last_entry is None:
            return len(self.numbers)
        return 1 + self.last_entry - self.first_entry


class Lag(NamedTuple):
    """How many rows are pending, counted up to `MOST_COUNTED`, and when the oldest was committed (aware UTC)."""

    pending: int
    since: datetime | None


_COLUMNS = (
    OutboxRow.id, OutboxRow.list_name, OutboxRow.lead_id, OutboxRow.numbers, OutboxRow.first_entry,
    OutboxRow.last_entry,
)  # fmt: skip
_PENDING = OutboxRow.applied_turn.is_(None)


def subjects_of(rows: Iterable[OutboxChange]) -> Subjects:
    """Return the subjects of all rows."""
    subjects = Subjects()
    for row in rows:
        if row.current and row.list_name is not None:
            subjects.add_listed(row.list_name, row.current)
            subjects.add(row.list_name, None, (number for number in row.numbers if number not in row.current))
        else:
            subjects.add(row.list_name, row.lead_id, row.numbers)
    return subjects


async def lag(session: AsyncSession) -> Lag:
    """Return how far Redis is behind SQL. Rows are counted only up to `MOST_COUNTED`, so that this stays fast."""
    some = select(OutboxRow.id).where(_PENDING).limit(MOST_COUNTED).subquery()
    pending = select(func.count()).select_from(some).scalar_subquery()
    oldest = select(OutboxRow.committed_at).where(_PENDING).order_by(OutboxRow.id).limit(1).scalar_subquery()
    return Lag(*(await session.execute(select(pending, oldest))).one())


async def newest_pending(session: AsyncSession) -> int | None:
    """Return the id of the newest pending row; None when there is none."""
    return await session.scalar(select(func.max(OutboxRow.id)).where(_PENDING))


async def oldest_pending(
    session: AsyncSession, newest: int, but: Collection[int] = ()
) -> tuple[list[OutboxChange], bool]:
    """Read one batch of the oldest pending rows up to the id `newest`, except the ids in `but`.

    Returns the rows, and whether there are more.
    """
    asked = select(*_COLUMNS).where(_PENDING, OutboxRow.id <= newest).order_by(OutboxRow.id).limit(ROWS_AT_ONCE + 1)
    if but:
        ids = await session.scalars(select(OutboxRow.id).where(_PENDING, OutboxRow.id <= newest).order_by(OutboxRow.id))
        some = list(islice((row for row in ids if row not in but), ROWS_AT_ONCE + 1))
        asked = select(*_COLUMNS).where(OutboxRow.id.in_(some)).order_by(OutboxRow.id)
    rows = [OutboxChange(*row) for row in await session.execute(asked)]
    portion = next(_portions(rows), [])[:ROWS_AT_ONCE]
    return await _with_numbers(session, portion), len(portion) < len(rows)


async def mark_applied(session: AsyncSession, ids: Collection[int], turn: int, at: datetime) -> None:
    """Record that Redis acknowledged these rows in `turn` at `at`."""
    for some in batches(sorted(ids), IDS_AT_ONCE):
        marked = update(OutboxRow).where(OutboxRow.id.in_(some)).values(applied_turn=turn, applied_at=at)
        await session.execute(marked.execution_options(synchronize_session=False))


async def pending_ids(session: AsyncSession, newest: int | None = None) -> set[int]:
    """Return the ids of all pending rows, or of those up to the id `newest`."""
    asked = select(OutboxRow.id).where(_PENDING)
    return set(await session.scalars(asked if newest is None else asked.where(OutboxRow.id <= newest)))


async def ids_since(session: AsyncSession, turn: int) -> set[int]:
    """Return the ids of all rows that are pending or were applied after `turn`."""
    return set(await session.scalars(select(OutboxRow.id).where(or_(_PENDING, OutboxRow.applied_turn > turn))))


async def portions(session: AsyncSession, ids: Collection[int]) -> AsyncIterator[list[OutboxChange]]:
    """Read rows by their ids, one batch at a time."""
    for some in batches(sorted(ids), ROWS_AT_ONCE):
        rows = [OutboxChange(*row) for row in await session.execute(select(*_COLUMNS).where(OutboxRow.id.in_(some)))]
        for portion in _portions(rows):
            yield await _with_numbers(session, portion)


async def _with_numbers(session: AsyncSession, rows: Iterable[OutboxChange]) -> list[OutboxChange]:
    """Return the rows with the numbers of their entries instead of ranges."""
    return [row if row.first_entry is None else await _of_range(session, row) for row in rows]


async def _of_range(session: AsyncSession, row: OutboxChange) -> OutboxChange:
    entries = SuppressionEntry.__table__.columns
    some = select(entries.number, entries.lifted_at.is_(None)).where(
        entries.id.between(row.first_entry, row.last_entry), entries.list_name == row.list_name
    )
    found = (await (await session.connection()).execute(some)).all()
    current = frozenset(number for number, stands in found if stands)
    return row._replace(numbers=[number for number, _ in found], current=current)


def _portions(rows: Iterable[OutboxChange]) -> Iterator[list[OutboxChange]]:
    """Cut rows into batches of at most `NUMBERS_AT_ONCE` numbers. A row with more numbers forms a separate batch."""
    portion: list[OutboxChange] = []
    numbers = 0
    for row in rows:
        if portion and numbers + row.size > NUMBERS_AT_ONCE:
            yield portion
            portion, numbers = [], 0
        portion.append(row)
        numbers += row.size
    if portion:
        yield portion
