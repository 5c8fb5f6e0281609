"""Suppression entries on the company's own lists: adding and lifting them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, String, Text, literal, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import PENDING, Actor, Change, Records, Standing
from admin_web.record.dialect import each_of, insert_into
from admin_web.record.models import Override, SuppressionEntry, UtcDateTime
from admin_web.services.ends import end_on_record, end_unless_asked, extend_entry, list_again, stay_listed, with_ends
from admin_web.services.leads import existing_lead
from admin_web.webhooks.events import Event
from compliance.consent import may_revoke
from compliance.ends import request_with_end, require_to_come
from compliance.numbers import E164, LeadId
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused, cleaned, require
from compliance.wording import the_list

CHUNK = 1000
"""Maximum number of telephone numbers in one transaction, and so in one outbox row."""

LONGEST_NOTE = 2000
LONGEST_SOURCE = 32


class NotListed(Refused):
    """The number is not on the list."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """One number on a list. `added` is False if it was on the list before. `ends_at` is when its entry ends by itself.

    `open_overrides` are the ids of overrides that still allow calls to leads on this number; a held one allows none.
    If the person who asked not to be called is one of those leads, the override must be revoked.
    """

    number: E164
    entry_id: int
    added: bool
    open_overrides: tuple[int, ...]
    standing: Standing
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SuppressedMany:
    """Many numbers on a list: how many were added, and how many were on it already."""

    added: int
    already: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class Lifted:
    """A lifted entry: the number, and the id of the entry."""

    number: E164
    entry_id: int
    standing: Standing


async def suppress(
    records: Records,
    actor: Actor,
    number: E164,
    *,
    source: str,
    note: str = "",
    lead: LeadId | None = None,
    list_name: str = INTERNAL,
    ends_at: datetime | None = None,
) -> Suppressed:
    """Add a number to a list and bring the block into force.

    A number that is on the list already is written to Redis again. With `ends_at` (aware UTC), the entry ends by
    itself, unless an entry without an end stands or the person has asked not to be called.

    Raises UnknownLead, Unwritable, EndRefused.
    """
    async with records.change(actor) as change:
        if ends_at is not None:
            require_to_come(ends_at, change.at)
        if ends_at is not None and lead is not None:
            raise request_with_end("the lead who asked")
        if lead is not None:
            await existing_lead(change.session, lead)
        done = await suppress_within(
            change, number, source=source, note=note, lead=lead, list_name=list_name, ends_at=ends_at
        )
    return replace(done, standing=await records.standing(change))


async def suppress_within(
    change: Change,
    number: E164,
    *,
    source: str,
    note: str = "",
    lead: LeadId | None = None,
    list_name: str = INTERNAL,
    ends_at: datetime | None = None,
    asked: bool = False,
) -> Suppressed:
    """Add a number to a list within a change. The block comes into force only after the change. Raises Unwritable.

    `asked` is as in `suppress_many_within`.
    """
    note = cleaned(note, LONGEST_NOTE, "The note")
    provenance = _Provenance(list_name, source, note, lead, ends_at, asked)
    entry_id, added, ends_at = await _add_or_find(change, provenance, number)
    open_overrides = await _open_overrides(change, number)
    end = end_on_record(ends_at)
    change.audit("suppress", "number", number, list=list_name, entry=entry_id, added=added, lead=lead or "", **end)
    if added:
        change.notify(Event.SUPPRESS, list=list_name, numbers=[number], source=source, lead=lead or "", **end)
    change.project_list(list_name, [number])
    return Suppressed(number, entry_id, added, open_overrides, PENDING, ends_at)


async def suppress_many(
    records: Records,
    actor: Actor,
    numbers: Sequence[E164],
    *,
    source: str,
    note: str = "",
    list_name: str = INTERNAL,
    ends_at: datetime | None = None,
) -> SuppressedMany:
    """Add up to CHUNK numbers to a list in one transaction, and bring the blocks into force.

    `ends_at` is as in `suppress`. Raises Unwritable, EndRefused.
    """
    wanted = list(dict.fromkeys(numbers))
    async with records.change(actor) as change:
        if ends_at is not None:
            require_to_come(ends_at, change.at)
        added = await suppress_many_within(
            change, wanted, source=source, note=note, list_name=list_name, ends_at=ends_at
        )
    return SuppressedMany(added, len(wanted) - added, await records.standing(change))


async def suppress_many_within(
    change: Change,
    numbers: Sequence[E164],
    *,
    source: str,
    note: str = "",
    list_name: str = INTERNAL,
    ends_at: datetime | None = None,
    asked: bool = False,
    audited: bool = True,
) -> int:
    """Add up to CHUNK numbers to a list within a change. Returns how many were new. Raises Unwritable.

    Entries that exist already end no earlier than `ends_at`. With `asked`, their people have asked not to be called:
    the entries are locked until the transaction ends, so that nobody lifts them meanwhile. Without `audited`, the
    caller writes the audit event.
    """
    wanted = list(dict.fromkeys(numbers))
    if len(wanted) > CHUNK:
        raise ValueError(f"at most {CHUNK} numbers at a time")
    note = cleaned(note, LONGEST_NOTE, "The note")
    add = _add_and_hold if asked else _add
    await stay_listed(change.session)
    added = await add(change, _Provenance(list_name, source, note, ends_at=ends_at), wanted)
    if listed := [number for number in wanted if number not in added]:
        await list_again(change, list_name, each_of(change.session, listed), ends_at, asked=asked)
    if audited:
        already = len(listed)
        change.audit("suppress", "list", list_name, source=source, note=note, added=len(added), already=already)
    ends = {number: end for number, (_, end) in added.items()}
    for some, said in with_ends(ends, CHUNK):
        change.notify(Event.SUPPRESS, list=list_name, numbers=some, source=source, lead="", **said)
    change.project_list(list_name, wanted)
    return len(added)


async def lift(records: Records, actor: Actor, number: E164, *, reason: str, list_name: str = INTERNAL) -> Lifted:
    """Lift a number's entry on a list. The entry stays on record. Raises NotListed, NotPermitted, Unwritable."""
    require(may_revoke, actor.role, "lift entries")
    reason = cleaned(reason, LONGEST_NOTE, "The reason", required=True)
    async with records.change(actor) as change:
        entry = await _locked_entry(change.session, list_name, number)
        if entry is None:
            raise NotListed(f"{number} is not on {the_list(list_name)}. Nothing was changed.")
        entry.lifted_at, entry.lifted_by, entry.lift_reason = change.at, actor.name, reason
        change.audit("lift", "number", number, list=list_name, entry=entry.id, reason=reason)
        change.notify(Event.LIFT, list=list_name, numbers=[number], reason=reason)
        change.project_list(list_name, [number])
    return Lifted(number, entry.id, await records.standing(change))


@dataclass(frozen=True, slots=True)
class _Provenance:
    list_name: str
    source: str
    note: str
    lead: LeadId | None = None
    ends_at: datetime | None = None
    asked: bool = False


class _Added(NamedTuple):
    entry_id: int
    ends_at: datetime | None


async def _add_or_find(change: Change, provenance: _Provenance, number: E164) -> tuple[int, bool, datetime | None]:
    """Return the id of the number's entry, whether it is new, and its end.

    Another transaction may lift the existing entry before this one locks it. In that case the loop adds a new entry.
    """
    while True:
        added = await _add(change, provenance, [number])
        if entry := await _locked_entry(change.session, provenance.list_name, number):
            if not added:
                extend_entry(change, entry, provenance.ends_at, asked=provenance.asked)
            return entry.id, bool(added), entry.ends_at


async def _add(change: Change, provenance: _Provenance, numbers: Collection[E164]) -> dict[E164, _Added]:
    """Insert the numbers that are not on the list, in one statement. Returns the new entries.

    If another transaction adds the same number, the statement waits for it and then skips the number. The numbers are
    sorted, so that two such statements lock them in the same order and cannot deadlock.
    """
    source = cleaned(provenance.source, LONGEST_SOURCE, "The source", required=True)
    number = each_of(change.session, sorted(numbers))
    values: dict[str, ColumnElement[Any]] = {
        "list_name": literal(provenance.list_name, String),
        "number": number,
        "source": literal(source, String),
        "lead_id": literal(provenance.lead, String),
        "note": literal(provenance.note, Text),
        "added_at": literal(change.at, UtcDateTime),
        "added_by": literal(change.actor.name, String),
        "ends_at": end_unless_asked(number, provenance.ends_at),
    }
    insert = (
        insert_into(change.session, SuppressionEntry)
        # Without the WHERE, SQLite parses the ON of "ON CONFLICT" as the ON of a join (lang_upsert.html, section 2.2).
        .from_select(list(values), select(*values.values()).where(true()))
        .on_conflict_do_nothing(
            index_elements=["number", "list_name"], index_where=SuppressionEntry.lifted_at.is_(None)
        )
        .returning(SuppressionEntry.number, SuppressionEntry.id, SuppressionEntry.ends_at)
    )
    new = await change.session.execute(insert)
    return {E164(number): _Added(entry_id, ends_at) for number, entry_id, ends_at in new}


async def _add_and_hold(change: Change, provenance: _Provenance, numbers: Collection[E164]) -> dict[E164, _Added]:
    """Insert the numbers that are not on the list, and lock the entries of the others. Returns the new entries.

    Another transaction may lift an entry before this one locks it. In that case the loop adds a new entry.
    """
    added, missing = dict[E164, _Added](), set(numbers)
    while missing:
        added |= await _add(change, provenance, missing)
        standing = select(SuppressionEntry.number).where(
            SuppressionEntry.list_name == provenance.list_name,
            SuppressionEntry.number.in_(select(each_of(change.session, sorted(missing)))),
            SuppressionEntry.lifted_at.is_(None),
        )
        held = await change.session.scalars(standing.order_by(SuppressionEntry.number).with_for_update())
        missing.difference_update(E164(number) for number in held)
    return added


async def _locked_entry(session: AsyncSession, list_name: str, number: E164) -> SuppressionEntry | None:
    """Return the number's entry that is not lifted, with its row locked until the transaction ends."""
    entry = select(SuppressionEntry).where(
        SuppressionEntry.list_name == list_name,
        SuppressionEntry.number == number,
        SuppressionEntry.lifted_at.is_(None),
    )
    return await session.scalar(entry.with_for_update())


async def _open_overrides(change: Change, number: E164) -> tuple[int, ...]:
    live = select(Override.id).where(Override.number == number, *Override.opening(change.at))
    return tuple(await change.session.scalars(live.order_by(Override.id)))
