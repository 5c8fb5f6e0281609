"""Imports to the company's own lists on record, and their undoing: the entries that an import made are lifted."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.batches import batches
from admin_web.record.changes import Actor, Change, Records, Standing
from admin_web.record.database import Database
from admin_web.record.models import DoNotCallRequest, Job, ListImport, SuppressionEntry
from admin_web.services.ends import let_end
from admin_web.services.importing import ENTRIES_AT_ONCE
from admin_web.services.job_kinds import IMPORT_NUMBERS
from admin_web.services.suppression import CHUNK, LONGEST_NOTE
from admin_web.webhooks.events import Event
from compliance.consent import may_revoke
from compliance.refusal import Refused, cleaned, require
from compliance.wording import counted, noun

SHOWN = 100
"""Maximum number of imports in a list."""


class UnknownImport(Refused):
    """No import has this id."""


class ImportUnderWay(Refused):
    """A job still adds entries for the import."""


@dataclass(frozen=True, slots=True)
class ImportOnRecord:
    """One import to one of the company's own lists. `standing` is the number of its entries that are not lifted.

    `requested` of these stay when the import is undone, because the person has asked not to be called.
    """

    id: int
    list_name: str
    file_name: str
    note: str
    imported_at: datetime
    imported_by: str
    undone_at: datetime | None
    undone_by: str | None
    undo_reason: str | None
    standing: int = 0
    requested: int = 0


@dataclass(frozen=True, slots=True)
class Undone:
    """The outcome of an undoing: how many entries it lifted, and how many stay because the person asked.

    `again` says that the import had been undone before.
    """

    import_id: int
    lifted: int
    kept: int
    standing: Standing
    again: bool = False

    def __str__(self) -> str:
        """Return the outcome as a sentence without its end."""
        if self.again and not self.lifted:
            done = f"Import {self.import_id} was already undone: no entry was left to lift"
        else:
            done = f"Import {self.import_id} is undone: {counted(self.lifted, 'entry', 'entries')} lifted"
        return f"{done}{stays(self.kept)}"


def stays(kept: int) -> str:
    """Return how many entries stay when an import is undone, as the end of a sentence; empty for none."""
    if not kept:
        return ""
    return f", {kept:,} {noun(kept, 'stays', 'stay')} because the person asked not to be called"


async def imports_on_record(database: Database) -> list[ImportOnRecord]:
    """Return the newest imports, newest first, without counts. Raises DatabaseUnavailable."""
    async with database.read() as session:
        rows = await session.scalars(select(ListImport).order_by(ListImport.id.desc()).limit(SHOWN))
        return [_on_record(row) for row in rows]


async def one_import(database: Database, import_id: int) -> ImportOnRecord:
    """Return an import with what its undoing would do. Raises UnknownImport, DatabaseUnavailable."""
    async with database.read() as session:
        row = await session.get(ListImport, import_id)
        if row is None:
            raise UnknownImport(f"There is no import {import_id}.")
        return _on_record(row, await _count(session, row), await _count(session, row, _requested()))


async def undo_import(
    records: Records,
    actor: Actor,
    import_id: int,
    *,
    reason: str,
    on_progress: Callable[[int], None] | None = None,
) -> Undone:
    """Lift every entry that an import made, except those of people who have asked not to be called.

    One audit event names the import. The entries are lifted in several transactions; an undoing that was interrupted is
    completed by another one. Raises UnknownImport, ImportUnderWay, NotPermitted, Unwritable,
    DatabaseUnavailable.
    """
    require(may_revoke, actor.role, "undo imports")
    reason = cleaned(reason, LONGEST_NOTE, "The reason", required=True)
    list_name, ids, again = await _begin(records, actor, import_id, reason)
    lifted = 0
    for some in batches(ids, ENTRIES_AT_ONCE):
        async with records.change(actor) as change:
            lifted += await _lift_some(change, Lifting(import_id, list_name, some[0], some[-1], reason))
        if on_progress is not None:
            on_progress(lifted)
        await asyncio.sleep(records.database.pause_s)
    async with records.database.read() as session:
        kept = await _count(session, await session.get_one(ListImport, import_id))
    return Undone(import_id, lifted, kept, await records.standing(), again)


async def _begin(records: Records, actor: Actor, import_id: int, reason: str) -> tuple[str, Sequence[int], bool]:
    """Mark an import as undone and write the audit event, unless an interrupted run of this undoing did so.

    Return the name of its list, the range of the ids of its entries, and whether it had been undone before.
    """
    async with records.change(actor) as change:
        row = await change.session.scalar(select(ListImport).where(ListImport.id == import_id).with_for_update())
        if row is None:
            raise UnknownImport(f"There is no import {import_id}.")
        jobs = select(Job.id, Job.place).where(Job.kind == IMPORT_NUMBERS.name, Job.outcome == "")
        for job in await change.session.execute(jobs):
            if job.place.get("import_id") == import_id:
                raise ImportUnderWay(
                    f"Import {import_id} is still under way, as job {job.id}. Wait for it, or cancel it."
                )
        again = row.undone_at is not None
        if not again or row.undo_reason != reason:
            row.undone_at, row.undone_by, row.undo_reason = change.at, actor.name, reason
            change.audit("undo-import", "import", import_id, list=row.list_name, file=row.file_name, reason=reason)
        return row.list_name, range(row.first_entry or 0, (row.last_entry or -1) + 1), again


class Lifting(NamedTuple):
    """The entries to lift: those of an import with ids between `first` and `last`."""

    import_id: int
    list_name: str
    first: int
    last: int
    reason: str


async def _lift_some(change: Change, these: Lifting) -> int:
    """Lift some entries of an import, except those of people who asked not to be called. Return how many.

    The entries are locked before the requests are read, in a statement of their own, so that a request that is recorded
    meanwhile counts. Recording a request locks the entry of its number too. Who lists a number again takes its entry
    from the import, and must not find it on the list while this lifts it. The order of the locks is that of every other
    change of several numbers.
    """
    await let_end(change.session)
    entry = SuppressionEntry
    some = (*_made_by(these.import_id), entry.id.between(these.first, these.last))
    locked = select(entry.id).where(*some).order_by(entry.number).with_for_update().subquery()
    await change.session.scalar(select(func.count()).select_from(locked))
    lifting = update(entry).where(*some, ~_requested()).returning(entry.number).values(
        lifted_at=change.at, lifted_by=change.actor.name, lift_reason=these.reason
    )  # fmt: skip
    lifted = (await change.session.scalars(lifting.execution_options(synchronize_session=False))).all()
    if lifted:
        change.project_entries(these.list_name, these.first, these.last)
    if await change.wants(Event.LIFT):
        for numbers in batches(lifted, CHUNK):
            change.notify(Event.LIFT, list=these.list_name, numbers=list(numbers), reason=these.reason)
    return len(lifted)


async def _count(session: AsyncSession, row: ListImport, *conditions: ColumnElement[bool]) -> int:
    """Count the entries of an import that are not lifted. Only its range of ids is read."""
    made = *_made_by(row.id), SuppressionEntry.id.between(row.first_entry, row.last_entry)
    query = select(func.count()).select_from(SuppressionEntry).where(*made, *conditions)
    return await session.scalar(query) or 0


def _made_by(import_id: int) -> tuple[ColumnElement[bool], ...]:
    return SuppressionEntry.import_id == import_id, SuppressionEntry.lifted_at.is_(None)


def _requested() -> ColumnElement[bool]:
    request = DoNotCallRequest
    return exists().where(request.number == SuppressionEntry.number, request.withdrawn_at.is_(None))


def _on_record(row: ListImport, standing: int = 0, requested: int = 0) -> ImportOnRecord:
    return ImportOnRecord(
        row.id, row.list_name, row.file_name, row.note, row.imported_at, row.imported_by, row.undone_at, row.undone_by,
        row.undo_reason, standing, requested,
    )  # fmt: skip
