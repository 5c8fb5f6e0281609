"""A recovery that is under way: what Redis holds, the transactions of its steps, and its counts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, and_, update
from sqlalchemy.orm import InstrumentedAttribute

from admin_web.projection.drain import Sides
from admin_web.projection.evidence import Evidence
from admin_web.record.changes import Actor, Change, changing
from admin_web.record.models import Recovery

Moment: TypeAlias = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]

SOURCE = "recovered"
"""The source of entries and patterns that were recovered from Redis."""


@dataclass(frozen=True, slots=True)
class Recovering:
    """A recovery by `actor`, the worker. `began_at` is aware UTC; what people have changed since then stays."""

    sides: Sides
    actor: Actor
    evidence: Evidence
    id: int
    began_at: datetime

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """Open the transaction of one step."""
        async with changing(self.sides.database, self.actor, self.sides.now) as change:
            yield change

    def since(self, moment: Moment, at: datetime) -> ColumnElement[bool]:
        """Return the condition for a moment between the begin of the recovery and `at`, which is now.

        A clock that was fast has left later moments in the backup. They say nothing about what came after it.
        """
        return and_(moment >= self.began_at, moment <= at)

    async def count(self, change: Change, **more: int) -> None:
        """Add to the counts of the recovery, in the transaction of the step that they count."""
        added = {name: getattr(Recovery, name) + number for name, number in more.items() if number}
        if added:
            await change.session.execute(update(Recovery).where(Recovery.id == self.id).values(**added))
