"""Lifting of the entries that have ended. An entry whose person has asked not to be called never ends."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select

from admin_web.record.changes import Actor, Change, Records
from admin_web.record.models import SuppressionEntry
from admin_web.services.ends import let_end
from admin_web.services.lifting import lift_entries
from admin_web.services.suppression import CHUNK

ENDED = "ended"
"""The reason of the lifting."""

MOST_NAMED = 100
"""From more entries of no import, the audit events do not name each. A million numbers may belong to no import, because
two files have listed them.
"""


async def lift_ended(records: Records, actor: Actor, latest: datetime) -> int:
    """Lift up to CHUNK entries that have ended. Return how many were looked at; 0 if none is left.

    `latest` is the time of Redis (aware UTC). An entry has ended only if it has ended by both clocks, so a machine
    whose clock is fast opens no number too early. If nobody calls this in time, the numbers stay blocked. One audit
    event is written for each entry, or one for all of these entries that the same import made, or that no import made
    if they are many. Raises DatabaseUnavailable.
    """
    at = min(records.now(), latest)
    async with records.database.read() as session:
        if await session.scalar(select(SuppressionEntry.id).where(*_ended(at)).limit(1)) is None:
            return 0
    async with records.change(actor) as change:
        await let_end(change.session)
        entries = await _locked(change, at)
        for list_name in sorted({entry.list_name for entry in entries}):
            await _lift(change, [entry for entry in entries if entry.list_name == list_name])
    return len(entries)


def _ended(at: datetime) -> tuple[ColumnElement[bool], ...]:
    entry = SuppressionEntry
    return entry.ends_at <= at, entry.ends_at.is_not(None), entry.lifted_at.is_(None)


async def _locked(change: Change, at: datetime) -> Sequence[SuppressionEntry]:
    """Lock the entries that ended first. The order is that of every other change of several numbers."""
    entry = SuppressionEntry
    first = select(entry.id).where(*_ended(at)).order_by(entry.ends_at, entry.id).limit(CHUNK)
    some = select(entry).where(entry.id.in_(first), *_ended(at)).order_by(entry.number, entry.list_name)
    return (await change.session.scalars(some.with_for_update())).all()


async def _lift(change: Change, entries: Sequence[SuppressionEntry]) -> None:
    """Lift ended entries of one list. The entries of people who have asked lose their end instead."""
    lifted = set((await lift_entries(change, entries, ENDED)).lifted)
    for entry in entries:
        if entry.number not in lifted:
            entry.ends_at, entry.extended_at, entry.extended_by = None, change.at, change.actor.name
    _audit(change, entries[0].list_name, [entry for entry in entries if entry.number in lifted])


def _audit(change: Change, list_name: str, ended: Sequence[SuppressionEntry]) -> None:
    alone = [entry for entry in ended if entry.import_id is None]
    if len(alone) > MOST_NAMED:
        change.audit("end-entries", "list", list_name, lifted=len(alone))
    else:
        for entry in alone:
            change.audit("end-entry", "number", entry.number, list=list_name, entry=entry.id)
    imports = Counter(entry.import_id for entry in ended if entry.import_id is not None)
    for import_id, many in sorted(imports.items()):
        change.audit("end-entries", "import", import_id, list=list_name, lifted=many)
