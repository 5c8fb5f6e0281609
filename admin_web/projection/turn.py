"""Turns: the right to write to Redis. A lock on one row of SQL lets only one process at a time have it.

A process takes a turn by an UPDATE of that row, and commits only after Redis has acknowledged its write. Until then
PostgreSQL holds the row's lock and SQLite its one write lock. A process may lose the lock and not notice (a broken
connection, a suspended machine). Redis then refuses its write: see `writing`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.models import ProjectionRow

ONLY = 1
"""The id of the row whose lock is the turn. In a cluster each shard also has its own row for its generations: see
`row_of`.
"""

_COLUMNS = (ProjectionRow.turn, ProjectionRow.generation, ProjectionRow.building, ProjectionRow.building_at)


def row_of(first_slot: int | None) -> int:
    """Return the id of the row for one Redis, or for the shard of a cluster whose lowest slot is `first_slot`."""
    return ONLY + (first_slot or 0)


@dataclass(frozen=True, slots=True)
class Turn:
    """The number of a turn, the live generation, and the one being built.

    `building` keeps its value when a build fails, so that the number is not used again. `building_at` is the builder's
    last heartbeat, aware UTC.
    """

    number: int
    generation: int
    building: int | None
    building_at: datetime | None

    def is_built(self, at: datetime, *, silent_s: float) -> bool:
        """Return whether a builder is at work: its last heartbeat is less than `silent_s` seconds from `at`.

        A heartbeat further ahead is that of a clock that was wrong, and its builder may be dead for days.
        """
        beat_at = self.building_at
        return bool(self.building and beat_at and abs(at - beat_at) < timedelta(seconds=silent_s))


async def take_turn(session: AsyncSession, row: int = ONLY) -> Turn:
    """Take the next turn, after the process that has the turn now. The turn lasts until the session's transaction ends.

    All rows share one turn. `row` selects the row whose generations are returned.
    """
    taking = update(ProjectionRow).where(ProjectionRow.id == ONLY).values(turn=ProjectionRow.turn + 1)
    turn = Turn(*(await session.execute(taking.returning(*_COLUMNS))).one())
    return turn if row == ONLY else await _of_row(session, turn, row)


async def last_turn(session: AsyncSession, row: int = ONLY) -> Turn:
    """Return the last committed turn, without waiting for the present one."""
    turn = Turn(*(await session.execute(select(*_COLUMNS).where(ProjectionRow.id == ONLY))).one())
    return turn if row == ONLY else await _of_row(session, turn, row)


async def update_generations(session: AsyncSession, row: int = ONLY, **values: int | datetime | None) -> None:
    """Record which generation is live, or being built. Call it within a turn."""
    changed = update(ProjectionRow).where(ProjectionRow.id == row).values(**values).returning(ProjectionRow.id)
    if await session.scalar(changed) is None:
        session.add(ProjectionRow(id=row, **{"turn": 0, "generation": 0, **values}))


async def first_slots(session: AsyncSession) -> list[int]:
    """Return the lowest slot of each shard that was ever built."""
    return [row - ONLY for row in await session.scalars(select(ProjectionRow.id).order_by(ProjectionRow.id))]


async def _of_row(session: AsyncSession, turn: Turn, row: int) -> Turn:
    """Return the turn with the generations of another row. A missing row means that none was ever built."""
    found = (await session.execute(select(*_COLUMNS[1:]).where(ProjectionRow.id == row))).one_or_none()
    return Turn(turn.number, *(found or (0, None, None)))
