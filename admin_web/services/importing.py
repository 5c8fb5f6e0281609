"""Imports to the company's own lists: the row of an import, its entries chunk by chunk, and its one audit event."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, String, Text, func, literal, or_, select, true, update

from admin_web.record.changes import Actor, Change, Records
from admin_web.record.dialect import Range, each_moment, each_of, insert_into, insert_range
from admin_web.record.models import Job, ListImport, SuppressionEntry, UtcDateTime
from admin_web.services.ends import end_unless_asked, list_again, stay_listed, with_ends
from admin_web.services.job_kinds import IMPORT_NUMBERS
from admin_web.services.suppression import CHUNK, LONGEST_NOTE
from admin_web.webhooks.events import Event
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL
from compliance.refusal import cleaned

SOURCE = "import"
"""The source of every entry that an import made."""

ENTRIES_AT_ONCE = 4_000
"""Maximum number of entries of an import in one transaction. It takes SQLite's one write lock for some 30 ms."""

LONGEST_FILE_NAME = 255

ABANDONED = timedelta(minutes=15)
"""An import that has recorded nothing for so long, and that no job continues, was interrupted."""

WHOLE, INTERRUPTED = "whole", "interrupted"


async def begin_import(change: Change, file_name: str, note: str, list_name: str = INTERNAL) -> int:
    """Record an import within the change that adds its first entries. Return its id. Raises Unwritable."""
    row = ListImport(
        list_name=list_name, file_name=file_name[:LONGEST_FILE_NAME], note=cleaned(note, LONGEST_NOTE, "The note"),
        imported_at=change.at, imported_by=change.actor.name, recorded_at=change.at,
    )  # fmt: skip
    change.session.add(row)
    await change.session.flush()
    return row.id


async def add_entries_within(
    change: Change,
    import_id: int,
    numbers: Sequence[E164],
    *,
    list_name: str = INTERNAL,
    ends_at: datetime | None = None,
) -> int:
    """Add up to ENTRIES_AT_ONCE numbers to a list within a change, as entries of an import. Return how many were new.

    They end by themselves at `ends_at` (aware UTC), and entries that exist already end no earlier.

    A number that is listed already has reached Redis with its own change, or is still pending there. So only the new
    entries are projected, by the range of their ids.
    """
    given = Given(each_of(change.session, sorted(numbers)), ends_at, len(numbers))
    return await _add(change, import_id, list_name, given)


async def add_each_within(
    change: Change, import_id: int, ends: Mapping[E164, datetime | None], *, list_name: str = INTERNAL
) -> int:
    """Do the same for numbers that each have an end of their own."""
    number, ends_at = each_moment(change.session, dict(sorted(ends.items())))
    return await _add(change, import_id, list_name, Given(number, ends_at, len(ends)))


class Given(NamedTuple):
    """Numbers as an SQL column, sorted, with one end for all or a column of ends, and how many they are."""

    number: ColumnElement[str]
    ends_at: ColumnElement[datetime] | datetime | None
    many: int


async def _add(change: Change, import_id: int, list_name: str, given: Given) -> int:
    if given.many > ENTRIES_AT_ONCE:
        raise ValueError(f"at most {ENTRIES_AT_ONCE} numbers at a time")
    await stay_listed(change.session)
    made = await _insert(change, import_id, list_name, given)
    if made.many < given.many:
        await list_again(change, list_name, given.number, given.ends_at, import_id)
    if made.many:
        change.project_entries(list_name, made.first, made.last)
        await _extend_range(change, import_id, made)
        if await change.wants(Event.SUPPRESS):
            await _notify(change, import_id, list_name, made)
    return made.many


async def count_within(change: Change, import_id: int, **counts: int) -> None:
    """Record within a change how many rows an import has `read`, `added`, found `already` listed, and `rejected`."""
    counted = update(ListImport).where(ListImport.id == import_id).values(**counts, recorded_at=change.at)
    await change.session.execute(counted.execution_options(synchronize_session=False))


async def end_import(records: Records, actor: Actor, import_id: int, file_sha256: str) -> None:
    """Write the audit event of an import whose file was read to the end, unless it was written before."""
    async with records.change(actor) as change:
        row = await change.session.scalar(select(ListImport).where(ListImport.id == import_id).with_for_update())
        if row is not None:
            row.file_sha256 = file_sha256
            _end(change, row, WHOLE)


async def end_abandoned(records: Records) -> int:
    """Write the audit events of imports that were interrupted and that no job continues. Return how many."""
    at, recorded_at = records.now(), ListImport.recorded_at
    # A moment far ahead was recorded by a program with a wrong clock.
    silent = or_(recorded_at < at - ABANDONED, recorded_at > at + ABANDONED)
    open_ended = select(ListImport).where(ListImport.ended_at.is_(None), silent)
    async with records.database.read() as session:
        found = {row.id: row.imported_by for row in await session.scalars(open_ended)}
        jobs = select(Job.place).where(Job.kind == IMPORT_NUMBERS.name, Job.outcome == "")
        continued = {place.get("import_id") for place in await session.scalars(jobs)}
    ended = 0
    for import_id in found.keys() - continued:
        async with records.change(Actor(found[import_id])) as change:
            query = open_ended.where(ListImport.id == import_id).with_for_update()
            if (row := await change.session.scalar(query)) is not None:
                _end(change, row, INTERRUPTED)
                ended += 1
    return ended


def _end(change: Change, row: ListImport, outcome: str) -> None:
    """Write the event, unless it was written after the last entries were recorded."""
    if row.ended_at is not None and (row.recorded_at is None or row.recorded_at <= row.ended_at):
        return
    row.ended_at = change.at
    change.audit(
        "import-numbers", "import", row.id, list=row.list_name, file=row.file_name, sha256=row.file_sha256,
        note=row.note, rows=row.read, added=row.added, already=row.already, rejected=row.rejected, outcome=outcome,
    )  # fmt: skip


async def _insert(change: Change, import_id: int, list_name: str, given: Given) -> Range:
    """Insert the numbers that are not on the list, in one statement. Returns the range of the new entries.

    If another transaction adds the same number, the statement waits for it and then skips the number. The numbers are
    sorted, so that two such statements lock them in the same order and cannot deadlock.
    """
    values: dict[str, ColumnElement[Any]] = {
        "list_name": literal(list_name, String),
        "number": given.number,
        "source": literal(SOURCE, String),
        "note": literal("", Text),
        "added_at": literal(change.at, UtcDateTime),
        "added_by": literal(change.actor.name, String),
        "import_id": literal(import_id, BigInteger),
        "ends_at": end_unless_asked(given.number, given.ends_at),
    }
    entry = SuppressionEntry
    insert = (
        insert_into(change.session, entry)
        # Without the WHERE, SQLite parses the ON of "ON CONFLICT" as the ON of a join (lang_upsert.html, section 2.2).
        .from_select(list(values), select(*values.values()).where(true()))
        .on_conflict_do_nothing(index_elements=["number", "list_name"], index_where=entry.lifted_at.is_(None))
    )
    return await insert_range(change.session, entry, insert)


async def _extend_range(change: Change, import_id: int, made: Range) -> None:
    row = ListImport
    extended = update(row).where(row.id == import_id).values(
        first_entry=func.coalesce(row.first_entry, made.first), last_entry=made.last
    )  # fmt: skip
    await change.session.execute(extended.execution_options(synchronize_session=False))


async def _notify(change: Change, import_id: int, list_name: str, made: Range) -> None:
    """Send the events of the new entries, each with at most CHUNK numbers."""
    entry = SuppressionEntry
    added = (
        select(entry.number, entry.ends_at)
        .where(entry.id.between(made.first, made.last), entry.import_id == import_id)
        .order_by(entry.id)
    )
    ends = {E164(number): ends_at for number, ends_at in await change.session.execute(added)}
    for some, said in with_ends(ends, CHUNK):
        change.notify(Event.SUPPRESS, list=list_name, numbers=some, source=SOURCE, lead="", **said)
