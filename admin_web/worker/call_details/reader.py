"""Import the records of the CDR file into SQL, each exactly once, even if a process is killed at any moment.

The read position is committed with the rows that were read. Records may be read again, by a second worker or from a
replaced file. The worker then finds them in SQL by the ids that the PBX gave them, and changes nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import Update, exists, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from admin_web.record.database import Database
from admin_web.record.dialect import each_of, hold, insert_into
from admin_web.record.models import CallDetail, CdrFile
from admin_web.worker.call_agents import LOCK, name_agents
from admin_web.worker.call_details.cutting import lines_of, whole_records
from admin_web.worker.call_details.places import FilePart, OpenCdrFile, ReadPosition
from admin_web.worker.call_details.rows import DetailColumns, Trunks, UnreadableDetail, row_of

AT_ONCE = 256 * 1024
"""Bytes read per transaction: about five hundred records."""

POLL_S = 1.0
"""Polling interval at the end of the file, in seconds."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Batch:
    """The result of one read: rows, the errors of unreadable lines, and the next position.

    `more` means that more data can be read at once; `lost`, that the file which was being read could not be found.
    """

    rows: Sequence[DetailColumns]
    unreadable: Sequence[str]
    place: ReadPosition
    more: bool
    lost: bool = False


class CallDetails:
    """Imports the records of one file into one database."""

    def __init__(self, database: Database, path: Path, trunks: Sequence[str], now: Callable[[], datetime]) -> None:
        self._database, self._now = database, now
        self._path, self._file, self._trunks = str(path), OpenCdrFile(path), Trunks(trunks)
        self._place: ReadPosition | None = None

    async def step(self) -> float:
        """Import the next records, if any. Return the seconds to wait.

        Raises DatabaseUnavailable, CdrFileUnreadable.
        """
        if self._place is None:
            self._place = await self._stored_place()
        batch = await asyncio.to_thread(self._read, self._place)
        if batch is None or batch.place == self._place:
            return POLL_S
        begin, self._place = self._place, None  # If the transaction fails, read the position from SQL again.
        if await self._put(batch, begin):
            self._place = batch.place
            self._log_troubles(batch)
        return 0.0 if batch.more else POLL_S

    async def _stored_place(self) -> ReadPosition:
        async with self._database.read() as session:
            reading = await session.get(CdrFile, self._path)
        return ReadPosition(reading.inode, reading.position, reading.head) if reading else ReadPosition()

    def _read(self, place: ReadPosition) -> Batch | None:
        """Read from a position on, in a thread. Raises CdrFileUnreadable."""
        part = self._file.part(place, AT_ONCE)
        if part is None:
            return None
        return replace(_batch(part, self._trunks), lost=not part.known and place != ReadPosition())

    async def _put(self, batch: Batch, begin: ReadPosition) -> bool:
        """Write rows and position in one transaction.

        Return False if another worker has already read on from the old position.
        """
        async with self._database.write() as session:
            reading = await _held_reading(session, self._path, self._now())
            if ReadPosition(reading.inode, reading.position, reading.head) != begin:
                return False
            await put(session, batch.rows)
            reading.inode, reading.position, reading.head = batch.place.inode, batch.place.position, batch.place.head
            reading.unreadable += len(batch.unreadable)
            reading.read_at = self._now()
            if batch.lost:
                reading.lost_at = reading.read_at
        return True

    def _log_troubles(self, batch: Batch) -> None:
        """Log a lost file, and where unreadable lines are in the file, without their content: it may be personal."""
        if batch.lost:
            log.warning("the CDR file that was being read cannot be found; records may be missing", file=self._path)
        if why := batch.unreadable:
            before = batch.place.position
            log.error("call-detail records unreadable", file=self._path, before=before, lines=len(why), why=why[0])


def _batch(part: FilePart, trunks: Trunks) -> Batch:
    pieces = list(whole_records(part.data))
    consumed = sum(map(len, pieces))
    if not consumed and part.following is not None:
        torn = ["the file ends in the middle of it"] if part.data else []
        return Batch((), torn, part.following, more=True)
    rows, unreadable = _rows(pieces, trunks)
    return Batch(rows, unreadable, part.after(consumed), more=bool(consumed))


def _rows(pieces: Sequence[bytes], trunks: Trunks) -> tuple[list[DetailColumns], list[str]]:
    rows, unreadable = [], []
    for fields in (fields for piece in pieces for fields in lines_of(piece)):
        try:
            rows.append(row_of(fields, trunks))
        except UnreadableDetail as error:
            unreadable.append(str(error))
    return rows, unreadable


async def _held_reading(session: AsyncSession, path: str, at: datetime) -> CdrFile:
    """Lock the row with the file's read position, and create it if it is missing."""
    new = {"path": path, "inode": 0, "position": 0, "head": "", "unreadable": 0, "read_at": at}
    await session.execute(insert_into(session, CdrFile).values(new).on_conflict_do_nothing())
    return (await session.scalars(select(CdrFile).where(CdrFile.path == path).with_for_update())).one()


async def put(session: AsyncSession, rows: Sequence[DetailColumns]) -> None:
    """Insert rows, each record once, name the agents of their decisions, and clear `unscreened` on records whose call
    was screened according to another record.
    """
    if not rows:
        return
    await hold(session, LOCK)
    insert = insert_into(session, CallDetail).on_conflict_do_nothing()
    await (await session.connection()).execute(insert, sorted(rows, key=lambda row: row["channel"]))
    await name_agents(session, {row["channel"] for row in rows})
    await session.execute(clearing(session, {row["linked_channel"] for row in rows if row["trunk"]}))


def clearing(session: AsyncSession, linked: set[str]) -> Update:
    """Build the update that clears `unscreened` on records of a trunk channel which an allowed channel has dialled.

    When a call is answered, Asterisk removes Local channels from it and writes another record, from the caller directly
    to the trunk's channel, without a verdict. The two records may come in either order.
    """
    left, allowing = CallDetail.trunk != literal_column("''"), aliased(CallDetail)
    proof = exists().where(
        allowing.linked_channel == CallDetail.linked_channel,
        allowing.trunk == CallDetail.trunk,
        # The partial index has this literal in its condition. With a parameter, the query would not use the index.
        allowing.trunk != literal_column("''"),
        allowing.unscreened.is_(False),
    )
    these = CallDetail.linked_channel.in_(select(each_of(session, sorted(linked))))
    return update(CallDetail).where(CallDetail.unscreened, left, these, proof).values(unscreened=False)
