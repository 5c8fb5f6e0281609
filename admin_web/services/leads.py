"""Leads: added under the CRM's own id, and followed when their number changes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Actor, Change, Records, Standing
from admin_web.record.dialect import each_of, insert_into
from admin_web.record.folding import folded
from admin_web.record.models import Lead
from admin_web.services.revocation import end_overrides
from compliance.numbers import E164, LeadId
from compliance.refusal import Refused, cleaned

LONGEST_NAME = 200


class UnknownLead(Refused):
    """There is no such lead."""


class LeadExists(Refused):
    """A lead with this id is there already."""


class NumberMoved(Refused):
    """Somebody else gave the lead another number meanwhile."""


@dataclass(frozen=True, slots=True)
class LeadGiven:
    """A lead as an import gives it; `name` None leaves the name that is on record."""

    id: LeadId
    number: E164
    name: str | None = None


@dataclass(frozen=True, slots=True)
class LeadChanged:
    """What became of a lead; `ended_overrides` are ids of overrides that ended with the old number."""

    lead: LeadId
    changed: bool
    ended_overrides: tuple[int, ...]
    standing: Standing


async def add_lead(records: Records, actor: Actor, lead: LeadId, number: E164, name: str = "") -> None:
    """Put a new lead on record. Raises LeadExists, Unwritable."""
    async with records.change(actor) as change:
        if not await put_new(change, lead, number, name):
            raise LeadExists(f"There is a lead {lead} already; change that one, or choose another id.")


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
    """Give a lead another number or name, or another place: in the dial queue, or off it.

    `was` is the number that the person saw. Raises UnknownLead, NumberMoved, Unwritable.

    An override opens one lead on one number: with the number it ends, and is not there again if the number comes
    back. Consent was given for a telephone that this person no longer answers.
    """
    async with records.change(actor) as change:
        row = await existing_lead(change.session, lead)
        if was not in {None, row.number}:
            raise NumberMoved(f"Lead {lead} has got another number meanwhile, {row.number}; nothing was changed.")
        changed, ended = await _change(change, row, number, name)
        if queued is not None and queued != row.queued:
            row.queued, changed = queued, True
            change.audit("queue-lead" if queued else "unqueue-lead", "lead", lead)
    return LeadChanged(lead, changed, ended, await records.standing())


async def put_leads(records: Records, actor: Actor, given: Sequence[LeadGiven]) -> tuple[int, int, Standing]:
    """Add the leads that are new and change the others, in one transaction; give how many of each.

    Raises Unwritable.
    """
    async with records.change(actor) as change:
        added, altered = await put_leads_within(change, given)
    return added, altered, await records.standing()


async def put_leads_within(change: Change, given: Sequence[LeadGiven]) -> tuple[int, int]:
    """Add and change leads within a change; give how many of each. Raises Unwritable.

    A lead that is given twice is changed to what was given last.
    """
    added = altered = 0
    for some in _each_once(given):
        new = await _put_all_new(change, some)
        added += len(new)
        altered += await _change_all(change, {lead: one for lead, one in some.items() if lead not in new})
    return added, altered


def _each_once(given: Sequence[LeadGiven]) -> Iterator[dict[LeadId, LeadGiven]]:
    """Give the leads in rounds, none twice in one, sorted: two imports never wait for each other in a circle."""
    rounds: list[dict[LeadId, LeadGiven]] = []
    times: Counter[LeadId] = Counter()
    for one in given:
        if times[one.id] == len(rounds):
            rounds.append({})
        rounds[times[one.id]][one.id] = one
        times[one.id] += 1
    return (dict(sorted(some.items())) for some in rounds)


async def _put_all_new(change: Change, given: Mapping[LeadId, LeadGiven]) -> set[LeadId]:
    """Add the leads that are not there; give which those were."""
    insert = insert_into(change.session, Lead).on_conflict_do_nothing().returning(Lead.id)
    values = [_new(change, one.id, one.number, one.name or "") for one in given.values()]
    new = {LeadId(lead) for lead in await change.session.scalars(insert, values)}
    for lead in sorted(new):
        change.audit("add-lead", "lead", lead, number=given[lead].number)
    return new


async def _change_all(change: Change, given: Mapping[LeadId, LeadGiven]) -> int:
    """Change leads that are there; give how many were not so already."""
    if not given:
        return 0
    held = select(Lead).where(Lead.id.in_(select(each_of(change.session, given)))).order_by(Lead.id).with_for_update()
    altered = 0
    for row in (await change.session.scalars(held)).all():
        one = given[LeadId(row.id)]
        altered += (await _change(change, row, one.number, one.name))[0]
    return altered


async def existing_lead(session: AsyncSession, lead: LeadId) -> Lead:
    """Find a lead and hold it against other writers. Raises UnknownLead."""
    row = await session.scalar(select(Lead).where(Lead.id == lead).with_for_update())
    if row is None:
        raise UnknownLead(f"There is no lead {lead}; add it first.")
    return row


async def put_new(change: Change, lead: LeadId, number: E164, name: str = "") -> bool:
    """Add a lead within a change; False when it is there already, or somebody adds it at this moment.

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
    """Change a held lead; give whether anything changed, and the overrides that ended."""
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
