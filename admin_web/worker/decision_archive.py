"""Archive decisions from the stream in Redis to SQL, each exactly once, even if a process is killed at any moment.

The consumer group keeps entries that were read but not acknowledged. A batch is committed to SQL first and acknowledged
afterwards. After a kill in between, the batch is read again; each decision then finds its own row and changes nothing.
All workers share one consumer name, so any of them can take over the entries of a dead one. Another worker may claim
entries that a slow worker is still writing. They are then written twice, which does no harm.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy.exc import DataError, IntegrityError

from admin_web.projection.store import Store
from admin_web.projection.wire import Command, RedisRefused, Reply, Wire, words
from admin_web.record.database import Database
from admin_web.worker.decision_rows import DecisionColumns, UnreadableDecision, last_words, put, row_of
from compliance.redis_schema import ARCHIVE_GROUP

CONSUMER = "worker"
BATCH = 4_000
"""Maximum number of entries in one transaction. When SQL was away, larger batches catch up twice as fast as those of a
thousand.
"""

BLOCK_MS = 500
"""Milliseconds that a read waits for the next decision."""

READ_WITHIN_S = 2.0

IDLE_MS = 10_000
"""Milliseconds after which an unacknowledged entry is read again. Its reader has probably died, or lost its connection
to SQL.
"""

FROM_THE_FIRST = "0-0"

log = structlog.get_logger()


class StreamEntry(NamedTuple):
    """One entry of the stream: its id, and its fields as alternating names and values."""

    id: bytes
    fields: list[bytes]

    @property
    def mapping(self) -> dict[bytes, bytes]:
        """The fields as a mapping of names to values."""
        return dict(zip(self.fields[::2], self.fields[1::2], strict=True))


class DecisionArchive:
    """Moves decisions from the stream of one Redis, or of one shard of a cluster, to one database."""

    def __init__(self, database: Database, store: Store, now: Callable[[], datetime]) -> None:
        self._database, self._store, self._now = database, store, now

    async def archive_new(self) -> int:
        """Archive the next decisions, after a short wait for them. Return the number of entries.

        Raises RedisUnavailable, DatabaseUnavailable; `archive_left` then reads the same entries again.
        """
        async with self._store.wire() as wire:
            return await self._archive(wire, await _read_new(wire))

    async def archive_left(self, idle_ms: int = IDLE_MS) -> int:
        """Archive entries that were read at least `idle_ms` ago and not acknowledged. Return the number of entries."""
        archived, cursor = 0, FROM_THE_FIRST
        async with self._store.wire() as wire:
            await _make_group(wire)
            while True:
                following, entries = await _claim(wire, cursor, idle_ms)
                archived += await self._archive(wire, entries)
                if following == FROM_THE_FIRST:
                    return archived
                cursor = following

    async def _archive(self, wire: Wire, entries: Sequence[StreamEntry]) -> int:
        """Commit to SQL, then acknowledge.

        Entries that SQL cannot store are moved to another stream, so they block no others.
        """
        rows: dict[bytes, DecisionColumns] = {}
        unreadable: dict[bytes, str] = {}
        for entry in entries:
            try:
                rows[entry.id] = row_of(entry.mapping, self._now())
            except UnreadableDecision as error:
                unreadable[entry.id] = str(error)
        refused = await self._commit(last_words(rows.values()))
        unreadable |= {origin: refused[row["id"]] for origin, row in rows.items() if row["id"] in refused}
        await _acknowledge(wire, [entry.id for entry in entries if entry.id not in unreadable])
        for entry in entries:
            if entry.id in unreadable:
                await _keep_aside(wire, entry, unreadable[entry.id])
        return len(entries)

    async def _commit(self, rows: Sequence[DecisionColumns]) -> dict[str, str]:
        """Write rows. Return the ids of rows whose content SQL rejects, each with the error text."""
        if not rows:
            return {}
        try:
            async with self._database.write() as session:
                await put(session, rows)
        except (IntegrityError, DataError) as error:
            if len(rows) == 1:
                return {rows[0]["id"]: str(error.orig)}
            half = len(rows) // 2
            return await self._commit(rows[:half]) | await self._commit(rows[half:])
        return {}


async def _read_new(wire: Wire) -> list[StreamEntry]:
    """Read the next unread entries, after a short wait for them. Create the consumer group if it is missing."""
    reader = "XREADGROUP", "GROUP", ARCHIVE_GROUP, CONSUMER
    read: Command = (*reader, "COUNT", BATCH, "BLOCK", BLOCK_MS, "STREAMS", wire.keys.decisions, ">")
    try:
        (streams,) = await wire.ask(read, within_s=READ_WITHIN_S)
    except RedisRefused as error:
        if "NOGROUP" not in str(error):
            raise
        await _make_group(wire)
        return []
    match streams:
        case [[_, list() as entries]]:
            return _entries(entries)
    return []


async def _claim(wire: Wire, cursor: str, idle_ms: int) -> tuple[str, list[StreamEntry]]:
    """Claim entries that have been unacknowledged too long. Return the cursor for the next call, and the entries."""
    stream = wire.keys.decisions
    claim: Command = ("XAUTOCLAIM", stream, ARCHIVE_GROUP, CONSUMER, idle_ms, cursor, "COUNT", BATCH)
    (reply,) = await wire.ask(claim, within_s=READ_WITHIN_S)
    match reply:
        case [bytes() as following, list() as entries, *_]:
            return following.decode(), _entries(entries)
    return FROM_THE_FIRST, []


async def _make_group(wire: Wire) -> None:
    """Create the group, beginning at the stream's first entry. It may be missing because Redis was emptied."""
    try:
        await wire.ask(("XGROUP", "CREATE", wire.keys.decisions, ARCHIVE_GROUP, "0", "MKSTREAM"))
    except RedisRefused as error:
        if "BUSYGROUP" not in str(error):
            raise


async def _acknowledge(wire: Wire, ids: Sequence[bytes]) -> None:
    if ids:
        stream = wire.keys.decisions
        await wire.transact([("XACK", stream, ARCHIVE_GROUP, *ids), ("XDEL", stream, *ids)])


async def _keep_aside(wire: Wire, entry: StreamEntry, why: str) -> None:
    """Move an entry to the stream of unreadable ones, for people to inspect."""
    aside, stream = wire.keys.unreadable_decisions, wire.keys.decisions
    log.error("decision record unreadable", entry=entry.id.decode(), why=why, kept_in=aside)
    copy: Command = ("XADD", aside, "*", *entry.fields, "entry", entry.id, "why", why)
    taken: Command = ("XACK", stream, ARCHIVE_GROUP, entry.id)
    await wire.transact([copy, taken, ("XDEL", stream, entry.id)])


def _entries(reply: list[Reply]) -> list[StreamEntry]:
    """Parse entries. Skip those without fields: Redis 6.2 still lists entries that were deleted after the read."""
    return [
        StreamEntry(entry_id, words(fields))
        for entry_id, fields in (entry for entry in reply if isinstance(entry, list))
        if isinstance(entry_id, bytes) and fields
    ]
