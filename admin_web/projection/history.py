"""The history of the projection: whether Redis continues the history of this database.

A backup that is restored, a replica of the database that lagged behind when it was promoted, and another database take
changes away that Redis still has. Nothing in SQL shows this, so each write to Redis has a mark (`marks.py`), and SQL
keeps the marks. Whoever writes to Redis, or renews the lease, compares them first:

- The mark in Redis is the newest one in SQL, or follows it and its turn was not committed: Redis continues the history.
- The mark is an older one of SQL: Redis lost its last writes, and is rebuilt (`OLDER`).
- The mark is not in SQL: SQL has lost changes, or this is another database (`FOREIGN`). Redis may block numbers that
  SQL does not, so nothing is written until they are recovered (`services/recovery.py`). Then Redis is rebuilt
  (`RECOVERED`).

Redis must be read before SQL. A write between the two reads then never looks as if SQL had lost it.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.batches import batches
from admin_web.projection.live import ForeignHistory, LiveProjection
from admin_web.projection.marks import FOREIGN, OLDER, RECOVERED, Written, digest_of, ids_in, new_mark, ranges_of
from admin_web.projection.outbox import IDS_AT_ONCE
from admin_web.projection.turn import Turn
from admin_web.record.models import OutboxRow, ProjectionMark, Recovery, RegistryVersion


async def judge(session: AsyncSession, row: int, live: LiveProjection) -> str:
    """Return why Redis does not continue the history of this database; "" if it does, or if it holds no projection.

    `row` is the row of this Redis in SQL. `live` must have been read before the session began.
    """
    if live.state is None:
        return ""
    written, last = live.written, await last_mark(session, row)
    if written.mark == last:
        return ""
    if await _is_known(session, row, written.mark):
        return OLDER
    if await _is_known(session, row, written.before) and await _has_rows(session, written, live.versions):
        return "" if written.before == last else OLDER
    return RECOVERED if await _is_recovered(session, row, written.mark) else FOREIGN


async def doubt(session: AsyncSession, row: int, live: LiveProjection, turn: Turn) -> str:
    """Return "" if Redis holds the projection on record, built on this server; otherwise the reason's slug.

    If a builder died just after its generation went live, SQL still records that generation as being built: see
    `drain.live_generation`.
    """
    history = await judge(session, row, live)
    if history == FOREIGN:
        return history
    flipped = turn.building is not None and not live.doubt(turn.building)
    return ("" if flipped else live.doubt(turn.generation)) or history


async def doubt_seen(session: AsyncSession, row: int, live: LiveProjection, turn: Turn) -> str:
    """Return the same as `doubt` to those who only look. They may have read Redis before a write, and SQL after it."""
    why = await doubt(session, row, live, turn)
    return "" if why == OLDER else why


async def require_history(session: AsyncSession, row: int, live: LiveProjection) -> None:
    """Raise ForeignHistory or ProjectionLost unless Redis continues the history of this database."""
    if why := await require_own(session, row, live):
        raise live.lost(why)


async def require_own(session: AsyncSession, row: int, live: LiveProjection) -> str:
    """Return why Redis must be rebuilt; "" if it continues the history. Raises ForeignHistory if it must not be."""
    why = await judge(session, row, live)
    if why == FOREIGN:
        raise ForeignHistory(live.written.mark)
    return why


async def next_write(
    session: AsyncSession, row: int, rows: Collection[int], versions: Mapping[str, int], at: datetime
) -> Written:
    """Record the mark of the next write to Redis, in a turn, and return what identifies this write.

    `rows` are the outbox rows that it applies, `versions` the registries' versions that Redis then holds.
    """
    before = await last_mark(session, row) or ""
    mark = new_mark()
    session.add(ProjectionMark(projection_id=row, mark=mark, written_at=at))
    digest = digest_of([one async for one in _identities(session, rows, versions)])
    return Written(mark, before, ranges_of(rows), digest)


async def ensure_mark(session: AsyncSession, row: int, at: datetime) -> None:
    """Record a first mark before the first build of a Redis, in a turn. No other database has the same one."""
    if not await last_mark(session, row):
        session.add(ProjectionMark(projection_id=row, mark=new_mark(), written_at=at))


async def last_mark(session: AsyncSession, row: int) -> str | None:
    """Return the mark of the last write that SQL knows of; None if there is none."""
    marks = select(ProjectionMark.mark).where(ProjectionMark.projection_id == row)
    return await session.scalar(marks.order_by(ProjectionMark.id.desc()).limit(1))


async def _is_known(session: AsyncSession, row: int, mark: str) -> bool:
    known = exists().where(ProjectionMark.projection_id == row, ProjectionMark.mark == mark)
    return bool(await session.scalar(select(known)))


async def _is_recovered(session: AsyncSession, row: int, mark: str) -> bool:
    ended = exists().where(Recovery.projection_id == row, Recovery.mark == mark, Recovery.ended_at.is_not(None))
    return bool(await session.scalar(select(ended)))


async def _has_rows(session: AsyncSession, written: Written, versions: Mapping[str, int]) -> bool:
    """Return whether SQL has the very rows and versions that the last write to Redis applied."""
    ids = ids_in(written.rows)
    if ids is None or not written.mark:
        return False
    return written.digest == digest_of([one async for one in _identities(session, ids, versions)])


async def _identities(
    session: AsyncSession, rows: Collection[int], versions: Mapping[str, int]
) -> AsyncIterator[tuple[object, ...]]:
    """Yield what tells these rows from others. After the restore of a backup ids are used again, moments are not."""
    one = OutboxRow.__table__.columns
    for some in batches(sorted(rows), IDS_AT_ONCE):
        found = select(one.id, one.committed_at, one.list_name, one.lead_id).where(one.id.in_(some))
        for row in await session.execute(found):
            yield tuple(row)
    found_versions = select(RegistryVersion.registry_name, RegistryVersion.id, RegistryVersion.whole_at)
    if versions:
        for version in await session.execute(found_versions.where(RegistryVersion.id.in_(versions.values()))):
            yield tuple(version)
