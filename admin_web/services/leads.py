"""Leads: added under the CRM's id, and changed. Overrides end when a lead's number changes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import facts_on_record
from admin_web.record.changes import Actor, Change, Records, Standing
from admin_web.record.dialect import each_of, insert_into
from admin_web.record.folding import folded
from admin_web.record.models import Lead
from admin_web.services.claims import release
from admin_web.services.revocation import end_overrides
from compliance.numbers import E164, LeadId
from compliance.refusal import Refused, cleaned
from compliance.rule import judge
from compliance.verdict import Verdict

LONGEST_NAME = 200


class UnknownLead(Refused):
    """No lead has this id."""


class LeadExists(Refused):
    """A lead already has this id."""


class NumberMoved(Refused):
    """The lead's number has changed since the person saw it."""


@dataclass(frozen=True, slots=True)
class LeadGiven:
    """A lead in an import. If `name` is None, the recorded name is kept."""

    id: LeadId
    number: E164
    name: str | None = None


@dataclass(frozen=True, slots=True)
class LeadChanged:
    """The outcome of a change to a lead. `ended_overrides` are the ids of overrides that ended with the old number.

    `offered` means that the lead is in the dial queue and may be called. It is read only if the change is about the
    queue.
    """

    lead: LeadId
    changed: bool
    ended_overrides: tuple[int, ...]
    offered: bool
    standing: Standing


async def add_lead(records: Records, actor: Actor, lead: LeadId, number: E164, name: str = "") -> None:
    """Add a new lead. Raises LeadExists, Unwritable."""
    async with records.change(actor) as change:
        if not await put_new(change, lead, number, name):
            raise LeadExists(f"There is already a lead {lead}. Change that lead, or choose another id.")


async def change_lead(
    records: Records,
    actor: Actor,
    lead: LeadId,
    *,
    number: E164 | None = None,
    name: str | None = None,
    queued: bool | None = None,
    was: E164 | None = None,
) -> LeadChanged:
    """Change a lead's number or name, or put the lead into the dial queue or take it out of the queue.

    `was` is the number that the person saw. If `queued` is given, the actor's claim of the lead ends. Raises
    UnknownLead, NumberMoved, Unwritable.

    An override is for one lead on one number, so it ends when the lead's number changes. It stays ended if the number
    is changed back, because the telephone was not this person's in the meantime.
    """
    async with records.change(actor) as change:
        row = await existing_lead(change.session, lead)
        if was not in {None, row.number}:
            raise NumberMoved(
                f"The number of lead {lead} has been changed to {row.number} meanwhile. Nothing was changed; "
                "check the new number and try again."
            )
        changed, ended = await _change(change, row, number, name)
        if queued is not None and queued != row.queued:
            row.queued, changed = queued, True
            change.audit("queue-lead" if queued else "unqueue-lead", "lead", lead)
        # A claim has no audit event, because a dialer makes one for each call. Who gives a lead back is on record.
        if queued is not None and release(row, actor):
            change.audit("release-lead", "lead", lead)
        offered = bool(queued) and await may_be_called(change, row)
    return LeadChanged(lead, changed, ended, offered, await records.standing())


async def put_leads(records: Records, actor: Actor, given: Sequence[LeadGiven]) -> tuple[int, int, Standing]:
    """Add new leads and change existing ones, in one transaction. Returns how many were added and changed.

    Raises Unwritable.
    """
    async with records.change(actor) as change:
        added, altered = await put_leads_within(change, given)
    return added, altered, await records.standing()


async def put_leads_within(change: Change, given: Sequence[LeadGiven]) -> tuple[int, int]:
    """Add and change leads within a change. Returns how many were added and changed. Raises Unwritable.

    If a lead occurs twice, the last occurrence applies.
    """
    added = altered = 0
    for some in _rounds(given):
        new = await _add_new(change, some)
        added += len(new)
        altered += await _change_all(change, {lead: one for lead, one in some.items() if lead not in new})
    return added, altered


def _rounds(given: Sequence[LeadGiven]) -> Iterator[dict[LeadId, LeadGiven]]:
    """Split the leads into rounds, and yield the rounds. In each round a lead occurs at most once.

    Each round is sorted by id, so that two imports lock rows in the same order and cannot deadlock.
    """
    rounds: list[dict[LeadId, LeadGiven]] = []
    times: Counter[LeadId] = Counter()
    for one in given:
        if times[one.id] == len(rounds):
            rounds.append({})
        rounds[times[one.id]][one.id] = one
        times[one.id] += 1
    return (dict(sorted(some.items())) for some in rounds)


async def _add_new(change: Change, given: Mapping[LeadId, LeadGiven]) -> set[LeadId]:
    """Add the leads that do not exist yet. Returns their ids."""
    insert = insert_into(change.session, Lead).on_conflict_do_nothing().returning(Lead.id)
    values = [_new(change, one.id, one.number, one.name or "") for one in given.values()]
    new = {LeadId(lead) for lead in await change.session.scalars(insert, values)}
    for lead in sorted(new):
        change.audit("add-lead", "lead", lead, number=given[lead].number)
    return new


async def _change_all(change: Change, given: Mapping[LeadId, LeadGiven]) -> int:
    """Change existing leads. Returns how many of them really changed."""
    if not given:
        return 0
    rows = select(Lead).where(Lead.id.in_(select(each_of(change.session, given)))).order_by(Lead.id).with_for_update()
    altered = 0
    for row in (await change.session.scalars(rows)).all():
        one = given[LeadId(row.id)]
        altered += (await _change(change, row, one.number, one.name))[0]
    return altered


async def existing_lead(session: AsyncSession, lead: LeadId) -> Lead:
    """Return a lead, with its row locked until the transaction ends. Raises UnknownLead."""
    row = await session.scalar(select(Lead).where(Lead.id == lead).with_for_update())
    if row is None:
        raise UnknownLead(f"There is no lead {lead}. Add it first.")
    return row


async def may_be_called(change: Change, row: Lead) -> bool:
    """Return whether the gate will let a call to a lead pass, according to the database after this change."""
    await change.session.flush()
    (facts,) = await facts_on_record(change.session, [(E164(row.number), LeadId(row.id))], change.at)
    return judge(facts, change.at).verdict is Verdict.ALLOW


async def put_new(change: Change, lead: LeadId, number: E164, name: str = "") -> bool:
    """Add a lead within a change. Returns False if the lead exists, or another transaction adds it at the same time.

    Raises Unwritable.
    """
    values = _new(change, lead, number, name)
    insert = insert_into(change.session, Lead).values(values).on_conflict_do_nothing().returning(Lead.id)
    if await change.session.scalar(insert) is None:
        return False
    change.audit("add-lead", "lead", lead, number=number)
    return True


def _new(change: Change, lead: LeadId, number: E164, name: str) -> dict[str, Any]:
    name = cleaned(name, LONGEST_NAME, "The name")
    return {
        "id": lead,
        "number": number,
        "name": name,
        "name_folded": folded(name),
        "created_at": change.at,
        "created_by": change.actor.name,
    }


async def _change(change: Change, row: Lead, number: E164 | None, name: str | None) -> tuple[bool, tuple[int, ...]]:
    """Change a lead whose row is locked. Returns whether anything changed, and the overrides that ended."""
    number = number or E164(row.number)
    name = row.name if name is None else cleaned(name, LONGEST_NAME, "The name")
    if (number, name) == (row.number, row.name):
        return False, ()
    was = E164(row.number)
    row.number, row.name, row.name_folded = number, name, folded(name)
    row.changed_at, row.changed_by = change.at, change.actor.name
    change.audit("change-lead", "lead", row.id, was=was, number=number)
    if was == number:
        return True, ()
    return True, await end_overrides(change, LeadId(row.id), f"The lead's number changed from {was} to {number}.")
