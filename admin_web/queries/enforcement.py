"""The state of enforcement: SQL compared with Redis, the lease, the lag, the gates, the latest jobs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select

from admin_web.projection import outbox
from admin_web.projection.drain import Sides
from admin_web.projection.health import ProjectionHealth, health, together
from admin_web.projection.history import doubt_seen
from admin_web.projection.outbox import Lag
from admin_web.projection.rebuild import SILENT_S
from admin_web.projection.rebuild_outcome import SuspiciousDrop, require_credible
from admin_web.projection.truth import counts
from admin_web.projection.turn import Turn, last_turn, row_of
from admin_web.projection.wire import RedisUnavailable
from admin_web.queries.alarm import alarm
from admin_web.queries.alarms.enforcement import alarm_of, gravest, of_shard
from admin_web.queries.alarms.kind import Alarm
from admin_web.queries.cached import Cached
from admin_web.queries.campaign_lists import CampaignListShown, campaign_lists
from admin_web.queries.patterns import pattern_count
from admin_web.queries.registries import RegistryStanding, standings
from admin_web.record.changes import public_words
from admin_web.record.database import Database
from admin_web.record.models import Job

ALARM_S = 1.0
"""Seconds for which the banner of every page is cached."""

COUNTS_S = 5.0
"""Seconds for which SQL counts are cached, because counting millions of entries takes a while."""


@dataclass(frozen=True, slots=True)
class ListCount:
    """The count of numbers on one list, in SQL and in Redis; None when Redis lacks the list or cannot be queried."""

    name: str
    sql: int
    redis: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The content of the enforcement page. When Redis cannot be queried, `health` is None and `trouble` says why.

    `drop` says which list is suspiciously small in SQL; empty when none is.
    """

    health: ProjectionHealth | None
    trouble: str
    alarm: Alarm | None
    turn: Turn
    lag: Lag
    lists: Sequence[ListCount]
    drop: str
    at: datetime
    registries: Sequence[RegistryStanding] = ()
    patterns: int = 0
    campaign_lists: Sequence[CampaignListShown] = ()

    @property
    def in_force(self) -> bool:
        """Whether calls are judged with every recorded change applied."""
        return self.health is not None and self.alarm is None

    @property
    def building(self) -> bool:
        """Whether a rebuild is running."""
        return self.turn.is_built(self.at, silent_s=SILENT_S)


@dataclass(frozen=True, slots=True)
class LastJob:
    """The latest job of one kind, with its progress or result. `outcome` is empty while the job is open."""

    id: int
    kind: str
    progress: Mapping[str, Any]
    outcome: str
    message: str
    asked_at: datetime
    asked_by: str
    claimed_at: datetime | None
    ended_at: datetime | None


_JOB = (
    Job.id, Job.kind, Job.progress, Job.outcome, Job.message, Job.asked_at, Job.asked_by, Job.claimed_at, Job.ended_at
)  # fmt: skip


async def last_jobs(database: Database, kinds: Sequence[str]) -> dict[str, LastJob]:
    """Return the latest job of each kind, if there was one. Raises DatabaseUnavailable."""
    found: dict[str, LastJob] = {}
    async with database.read() as session:
        for kind in kinds:
            latest = select(*_JOB).where(Job.kind == kind).order_by(Job.id.desc()).limit(1)
            for row in await session.execute(latest):
                found[kind] = LastJob(*row)
    return found


class Enforcement:
    """Reads the state of the projection for pages. The constructor does no I/O.

    `alarm` returns the banner of every page, None when all is well, and raises nothing.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self.alarm = Cached(partial(alarm, sides), ALARM_S)
        self._counts = Cached(self._count, COUNTS_S)

    async def overview(self) -> Overview:
        """Query SQL and Redis. Raises DatabaseUnavailable."""
        standing = await self._counts()
        async with self._sides.database.read() as session:
            turn, lag = await last_turn(session), await outbox.lag(session)
            registries = await standings(session, self._sides.now())
            patterns, own = await pattern_count(session), await campaign_lists(session)
        at = self._sides.now()
        try:
            each = await health(self._sides.store)
        except RedisUnavailable as error:
            unknown = tuple(_side_by_side(standing, {}, known=False))
            return Overview(None, public_words(error), None, turn, lag, unknown, "", at, registries, patterns, own)
        found = together(each)
        live = found.live
        alarm, turn = await self._judge(each, lag, at)
        return Overview(
            found,
            "",
            alarm,
            turn,
            lag,
            tuple(_side_by_side(standing, live.counts, known=True)),
            _drop(live.counts, standing),
            at,
            registries,
            patterns,
            own,
        )

    async def _judge(self, each: Sequence[ProjectionHealth], lag: Lag, at: datetime) -> tuple[Alarm | None, Turn]:
        """Return the gravest alarm of the shards, with the turn of its shard.

        Without an alarm, return the turn of a running rebuild, if any.
        """
        async with self._sides.database.read() as session:
            rows = [row_of(one.first_slot) for one in each]
            turns = [await last_turn(session, row) for row in rows]
            doubts = [
                await doubt_seen(session, row, one.live, turn) for row, one, turn in zip(rows, each, turns, strict=True)
            ]
        alarms = [
            alarm_of(one.live, one.lease_ms, why, lag, at, terms_lost=one.terms_lost)
            for one, why in zip(each, doubts, strict=True)
        ]
        if found := gravest(alarms):
            place = alarms.index(found)
            return of_shard(found, each[place].first_slot), turns[place]
        built = (turn for turn in turns if turn.is_built(at, silent_s=SILENT_S))
        return None, next(built, turns[0])

    async def _count(self) -> dict[str, int]:
        async with self._sides.database.read() as session:
            return await counts(session)


def _side_by_side(standing: Mapping[str, int], live: Mapping[str, int], *, known: bool) -> Iterator[ListCount]:
    for name in [*standing, *sorted(live.keys() - standing.keys())]:
        yield ListCount(name, standing.get(name, 0), live.get(name) if known else None)


def _drop(live: Mapping[str, int], standing: Mapping[str, int]) -> str:
    """Return why a rebuild would be refused; empty when it would not."""
    try:
        require_credible(live, standing)
    except SuspiciousDrop as refused:
        return refused.fact
    return ""
