"""For which period the call log is whole: how far decisions were archived, and the PBX's records read."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.store import Store
from admin_web.projection.wire import RedisUnavailable, Reply, Wire
from admin_web.record.database import Database
from admin_web.record.models import CallDetail, CdrFile, DecisionRecord

MOST_COUNTED = 1_000
"""Calls that are counted one by one: beyond, a page says "more than"."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What stands behind the log. Moments are aware UTC.

    Decisions are on record from `since`, None when there is none yet; all of them until `until`, None when that is
    not known because Redis could not be asked (`doubt` says why). `waiting` are in Redis and not in the log yet;
    `unreadable` ones were kept aside there for people to look at. `records_read_at` is when the PBX's records were
    last read, None when they never were; `records_unreadable` lines of them were no records.
    """

    since: datetime | None
    until: datetime | None
    waiting: int
    unreadable: int
    records_read_at: datetime | None
    records_unreadable: int = 0
    doubt: str = ""


async def coverage(database: Database, store: Store, now: datetime) -> Coverage:
    """Say for which period the log is whole at `now` (aware UTC)."""
    try:
        until, waiting, unreadable = await _streams(store, now)
        doubt = ""
    except RedisUnavailable as error:
        until, waiting, unreadable, doubt = None, 0, 0, str(error)
    async with database.read() as session:
        since = await session.scalar(select(DecisionRecord.at).order_by(DecisionRecord.at).limit(1))
        read = select(func.max(CdrFile.read_at), func.coalesce(func.sum(CdrFile.unreadable), 0))
        read_at, unread = (await session.execute(read)).one()
    return Coverage(since, until, waiting, unreadable, read_at, int(unread), doubt)


async def count_unscreened(session: AsyncSession, since: datetime | None, until: datetime | None) -> int:
    """Count the calls of a period that left unscreened; one more than MOST_COUNTED stands for any more."""
    # Spelled as the partial index spells it: SQLite uses one only for the very same words.
    found = select(CallDetail.id).where(text("unscreened"))
    if since:
        found = found.where(CallDetail.started_at >= since)
    if until:
        found = found.where(CallDetail.started_at < until)
    return await session.scalar(select(func.count()).select_from(found.limit(MOST_COUNTED + 1).subquery())) or 0


async def _streams(store: Store, now: datetime) -> tuple[datetime, int, int]:
    """Look at the stream of each shard: the log is whole as far as the one that is furthest behind."""
    found = []
    for shard in await store.shards():
        async with shard.wire() as wire:
            found.append(await _stream(wire, now))
    return min(one[0] for one in found), sum(one[1] for one in found), sum(one[2] for one in found)


async def _stream(wire: Wire, now: datetime) -> tuple[datetime, int, int]:
    """Look at what the archive has not taken yet: what it has is deleted from the stream."""
    waiting, first, unreadable = await wire.ask(
        ("XLEN", wire.keys.decisions),
        ("XRANGE", wire.keys.decisions, "-", "+", "COUNT", 1),
        ("XLEN", wire.keys.unreadable_decisions),
    )
    match first:
        case [[bytes() as entry, _]]:
            until = datetime.fromtimestamp(int(entry.partition(b"-")[0]) / 1000, UTC)
        case _:
            until = now
    return until, _count(waiting), _count(unreadable)


def _count(reply: Reply) -> int:
    return reply if isinstance(reply, int) else 0
