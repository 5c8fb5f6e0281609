"""The period for which the call log is complete: how far decisions are archived and PBX records are read."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.store import Store
from admin_web.projection.wire import RedisUnavailable, Reply, Wire
from admin_web.record.database import Database
from admin_web.record.models import CallDetail, CdrFile, DecisionRecord
from compliance.verdict import Verdict

RECORD_DUE = timedelta(minutes=15)
"""Time after which an allowed call without a PBX record is marked. Few calls last longer, and a record ends the mark.
"""

LOST_SHOWN = timedelta(days=31)
"""How long the call log says that a CDR file was lost."""

MOST_COUNTED = 1_000
"""Maximum number of calls that are counted one by one. If there are more, a page says "more than"."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Coverage of the log. Moments are aware UTC.

    Decisions are recorded from `since` (None when there is none yet) and complete until `until` (None when Redis cannot
    be queried; `doubt` says why). `waiting` decisions are still in Redis; `unreadable` ones are kept aside there.
    `records_read_at` is when the PBX's records were last read, None for never; `records_unreadable` counts invalid
    lines. `records_lost_at` is when the file that was being read could not be found, None if that is long ago.
    `records_since` is when the first call with a PBX record began.
    """

    since: datetime | None
    until: datetime | None
    waiting: int
    unreadable: int
    records_read_at: datetime | None
    records_unreadable: int = 0
    doubt: str = ""
    records_lost_at: datetime | None = None
    records_since: datetime | None = None

    def lacks_record(self, verdict: str, at: datetime) -> bool:
        """Return whether a decision without a record of the PBX should have one by now.

        Such a call still lasts, or something else than the PBX asked the gate.
        """
        since, read_at = self.records_since, self.records_read_at
        if verdict != Verdict.ALLOW or since is None or read_at is None:
            return False
        return since <= at < read_at - RECORD_DUE


async def coverage(database: Database, store: Store, now: datetime) -> Coverage:
    """Return the coverage of the log at `now` (aware UTC)."""
    try:
        until, waiting, unreadable = await _streams(store, now)
        doubt = ""
    except RedisUnavailable as error:
        until, waiting, unreadable, doubt = None, 0, 0, error.public
    async with database.read() as session:
        since = await session.scalar(select(DecisionRecord.at).order_by(DecisionRecord.at).limit(1))
        unread = func.coalesce(func.sum(CdrFile.unreadable), 0)
        read = select(func.max(CdrFile.read_at), unread, func.max(CdrFile.lost_at))
        read_at, unread_lines, lost_at = (await session.execute(read)).one()
        began = await session.scalar(select(CallDetail.started_at).order_by(CallDetail.started_at).limit(1))
    lost_at = lost_at if lost_at and now - lost_at < LOST_SHOWN else None
    return Coverage(since, until, waiting, unreadable, read_at, int(unread_lines), doubt, lost_at, began)


async def count_unscreened(session: AsyncSession, since: datetime | None, until: datetime | None) -> int:
    """Count the unscreened calls of a period. MOST_COUNTED + 1 means more than MOST_COUNTED."""
    # This condition is written exactly as in the partial index, because SQLite uses that index only for an identical
    # one.
    found = select(CallDetail.id).where(text("unscreened"))
    if since:
        found = found.where(CallDetail.started_at >= since)
    if until:
        found = found.where(CallDetail.started_at < until)
    return await session.scalar(select(func.count()).select_from(found.limit(MOST_COUNTED + 1).subquery())) or 0


async def _streams(store: Store, now: datetime) -> tuple[datetime, int, int]:
    """Read the stream of each shard. The log is complete only as far as the shard that is furthest behind."""
    found = []
    for shard in await store.shards():
        async with shard.wire() as wire:
            found.append(await _stream(wire, now))
    return min(one[0] for one in found), sum(one[1] for one in found), sum(one[2] for one in found)


async def _stream(wire: Wire, now: datetime) -> tuple[datetime, int, int]:
    """Read one stream. It contains only decisions that are not archived yet, since archiving deletes them."""
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
