"""Whose turn it is to write to Redis: one row of SQL, locked for as long as the writing takes.

Taking a turn is an UPDATE of that row, which is committed only after Redis has acknowledged: PostgreSQL holds the
row's lock, SQLite its one write lock, so one process writes at a time. The lock may be lost while its holder goes on
(a broken connection, a machine that slept). What it writes then is stopped by Redis: see `writing`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.models import ProjectionRow

ONLY = 1
"""The id of the row whose lock is the turn. Of a cluster each shard has a row of its own besides, for its generations:
see `row_of`."""

_COLUMNS = (ProjectionRow.turn, ProjectionRow.generation, ProjectionRow.building, ProjectionRow.building_at)


def row_of(first_slot: int | None) -> int:
    """Give the id of the row for a Redis, or for the shard of a cluster whose lowest slot is `first_slot`."""
    return ONLY + (first_slot or 0)


@dataclass(frozen=True, slots=True)
class Turn:
    """The number of a turn, the generation that is live, and the one that is being built.

    `building` stays when a build fails, so that no generation is built twice. `building_at` is when the builder was
    last heard of, aware UTC.
    """

    number: int
    generation: int
    building: int | None
    building_at: datetime | None

    def is_built(self, at: datetime, *, silent_s: float) -> bool:
        """Tell whether a builder is at work at `at`: it was heard of less than `silent_s` seconds ago."""
        heard_of = self.building_at
        return bool(self.building and heard_of and at - heard_of < timedelta(seconds=silent_s))


async def take_turn(session: AsyncSession, row: int = ONLY) -> Turn:
    """Take the next turn; it lasts until the session's transaction ends. Waits for the one who has it.

    There is one turn for all rows; `row` says whose generations are meant.
    """
    taking = update(ProjectionRow).where(ProjectionRow.id == ONLY).values(turn=ProjectionRow.turn + 1)
    turn = Turn(*(await session.execute(taking.returning(*_COLUMNS))).one())
    return turn if row == ONLY else await _of_row(session, turn, row)


async def last_turn(session: AsyncSession, row: int = ONLY) -> Turn:
    """Read the last turn that is over, waiting for nobody."""
    turn = Turn(*(await session.execute(select(*_COLUMNS).where(ProjectionRow.id == ONLY))).one())
    return turn if row == ONLY else await _of_row(session, turn, row)


async def note(session: AsyncSession, row: int = ONLY, **values: int | datetime | None) -> None:
    """Put on record which generation is live, or being built. Only within a turn."""
    changed = update(ProjectionRow).where(ProjectionRow.id == row).values(**values).returning(ProjectionRow.id)
    if await session.scalar(changed) is None:
        session.add(ProjectionRow(id=row, **{"turn": 0, "generation": 0, **values}))


async def first_slots(session: AsyncSession) -> list[int]:
    """Give the lowest slot of each shard that was ever built."""
    return [row - ONLY for row in await session.scalars(select(ProjectionRow.id).order_by(ProjectionRow.id))]


async def _of_row(session: AsyncSession, turn: Turn, row: int) -> Turn:
    """Give a turn with the generations of another row; of one that is not there yet, none was ever built."""
    found = (await session.execute(select(*_COLUMNS[1:]).where(ProjectionRow.id == row))).one_or_none()
    return Turn(turn.number, *(found or (0, None, None)))
