"""Counts that the worker repeats for its metrics."""

from collections.abc import Callable, Sequence

from admin_web.projection.health import Backlog, backlog_of
from admin_web.projection.store import Store
from admin_web.record.database import Database
from admin_web.services.recovery import unseen

UNARCHIVED_S = 1.0
RECOVERIES_S = 10.0
"""Intervals between two counts, in seconds."""


class Unarchived:
    """The decisions that Redis alone holds. `streams` returns the streams of decisions; none are known at the start.

    `backlog` is None until the first count.
    """

    def __init__(self, streams: Callable[[], Sequence[Store]]) -> None:
        self._streams = streams
        self.backlog: Backlog | None = None

    async def step(self) -> float:
        """Count them, also while SQL is away. Raises RedisUnavailable."""
        if streams := self._streams():
            self.backlog = await backlog_of(streams)
        return UNARCHIVED_S


class UnseenRecoveries:
    """The recoveries from Redis at which no admin has looked yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.waiting = 0

    async def step(self) -> float:
        """Count them. Raises DatabaseUnavailable."""
        async with self._database.read() as session:
            self.waiting = await unseen(session)
        return RECOVERIES_S
