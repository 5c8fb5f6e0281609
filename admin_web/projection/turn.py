"""Whose turn it is to write to Redis: one row of SQL, locked for as long as the writing takes.

Taking a turn is an UPDATE of that row, which is committed only after Redis has acknowledged: PostgreSQL holds the
row's lock, SQLite its one write lock, so one process writes at a time. The lock may be lost while its holder goes on
(a broken connection, a machine that slept). What it writes then is stopped by Redis: see `writing`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from compliance.models import Projection

ONLY = 1
"""The id of the one row."""

_COLUMNS = (Projection.turn, Projection.generation, Projection.building, Projection.building_at)


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


async def take_turn(session: AsyncSession) -> Turn:
    """Take the next turn; it lasts until the session's transaction ends. Waits for the one who has it."""
    taking = update(Projection).where(Projection.id == ONLY).values(turn=Projection.turn + 1)
    return Turn(*(await session.execute(taking.returning(*_COLUMNS))).one())


async def last_turn(session: AsyncSession) -> Turn:
    """Read the last turn that is over, waiting for nobody."""
    return Turn(*(await session.execute(select(*_COLUMNS).where(Projection.id == ONLY))).one())


async def note(session: AsyncSession, **values: int | datetime | None) -> None:
    """Put on record which generation is live, or being built. Only within a turn."""
    await session.execute(update(Projection).where(Projection.id == ONLY).values(**values))
