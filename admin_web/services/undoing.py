"""Imports to the company's own lists on record, and their undoing: the entries that an import made are lifted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Actor, Change, Records, Standing
from admin_web.record.database import Database
from admin_web.record.models import DoNotCallRequest, Job, ListImport, SuppressionEntry
from admin_web.services.job_kinds import IMPORT_NUMBERS
from admin_web.services.lifting import lift_entries
from admin_web.services.suppression import CHUNK, LONGEST_NOTE
from compliance.consent import may_revoke
from compliance.refusal import Refused, cleaned, require

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
    """The outcome of an undoing: how many entries it lifted, and how many stay because the person asked."""

    import_id: int
    lifted: int
    kept: int
    standing: Standing


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
        return _on_record(row, await _count(session, import_id), await _count(session, import_id, _requested()))


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
    await _begin(records, actor, import_id, reason)
    lifted = 0
    after: int | None = 0
    while after is not None:
        async with records.change(actor) as change:
            many, after = await _lift_some(change, import_id, after, reason)
        lifted += many
        if on_progress is not None:
            on_progress(lifted)
    async with records.database.read() as session:
        kept = await _count(session, import_id)
    return Undone(import_id, lifted, kept, await records.standing())


async def _begin(records: Records, actor: Actor, import_id: int, reason: str) -> None:
    """Mark an import as undone and write the audit event, unless an interrupted run of this undoing did so."""
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
        if row.undone_at is None or row.undo_reason != reason:
            row.undone_at, row.undone_by, row.undo_reason = change.at, actor.name, reason
            change.audit("undo-import", "import", import_id, list=row.list_name, file=row.file_name, reason=reason)


async def _lift_some(change: Change, import_id: int, after: int, reason: str) -> tuple[int, int | None]:
    """Lift the next entries of an import. Return how many, and the id of the last one that was seen; None at the end.

    The entries are locked before the requests are read, so that a request that is recorded meanwhile counts. Recording
    a request locks the entry of its number too.
    """
    query = select(SuppressionEntry).where(*_made_by(import_id), SuppressionEntry.id > after)
    entries = (await change.session.scalars(query.order_by(SuppressionEntry.id).limit(CHUNK).with_for_update())).all()
    lifted = (await lift_entries(change, entries, reason)).lifted
    return len(lifted), entries[-1].id if len(entries) == CHUNK else None


async def _count(session: AsyncSession, import_id: int, *conditions: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(SuppressionEntry).where(*_made_by(import_id), *conditions)
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
