"""Leads: added under the CRM's id, and changed. An override ends when its lead loses the number."""

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
from admin_web.record.lead_numbers import LabelledNumber, further_numbers, numbers_of
from admin_web.record.models import Lead
from admin_web.services.claims import release
from admin_web.services.lead_numbers import add_further, distinct, with_first, write_numbers
from admin_web.services.revocation import end_overrides_elsewhere
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
    """A lead in an import. If `name` is None, the recorded name is kept.

    `numbers` are all numbers of the lead, the first one first. If it is empty, only the first number is set to
    `number`.
    """

    id: LeadId
    number: E164
    name: str | None = None
    numbers: tuple[LabelledNumber, ...] = ()

    @property
    def all_numbers(self) -> tuple[LabelledNumber, ...]:
        """The numbers of the lead if it is new."""
        return self.numbers or (LabelledNumber(self.number),)


@dataclass(frozen=True, slots=True)
class LeadChanged:
    """The outcome of a change to a lead. `ended_overrides` are the overrides that ended with a removed number.

    `offered` means that the lead is in the dial queue and may be called. It is read only if the change is about the
    queue.
    """

    lead: LeadId
    changed: bool
    ended_overrides: tuple[int, ...]
    offered: bool
    standing: Standing


async def add_lead(
    records: Records,
    actor: Actor,
    lead: LeadId,
    number: E164,
    name: str = "",
    numbers: Sequence[LabelledNumber] = (),
) -> None:
    """Add a new lead. `numbers` are all its numbers, if there are several.

    Raises LeadExists, TooManyNumbers, Unwritable.
    """
    async with records.change(actor) as change:
        if not await put_new(change, lead, number, name, numbers):
            raise LeadExists(f"There is already a lead {lead}. Change that lead, or choose another id.")


async def change_lead(
    records: Records,
    actor: Actor,
    lead: LeadId,
    *,
    number: E164 | None = None,
    numbers: Sequence[LabelledNumber] = (),
    name: str | None = None,
    queued: bool | None = None,
    was: Sequence[E164] | None = None,
) -> LeadChanged:
    """Change a lead's numbers or name, or put the lead into the dial queue or take it out of the queue.

    `number` changes the first number, and the others stay; `numbers` sets all of them. `was` are the numbers that the
    person saw. If `queued` is given, the actor's claim of the lead ends. Raises UnknownLead, NumberMoved,
    TooManyNumbers, Unwritable.

    An override is for one lead on one number, so it ends when the lead loses that number. It stays ended if the number
    is added again, because the telephone was not this person's in the meantime.
    """
    async with records.change(actor) as change:
        row = await existing_lead(change.session, lead)
        had = _numbers_in(row, (await further_numbers(change.session, [lead])).get(lead, ()))
        now = [one.number for one in had]
        if was is not None and list(was) != now:
            raise NumberMoved(
                f"The number of lead {lead} has been changed to {' and '.join(now)} meanwhile. Nothing was changed; "
                "check the new number and try again."
            )
        changed, ended = await _change(change, row, had, _wanted(had, number, numbers), name)
        if queued is not None and queued != row.queued:
            row.queued, changed = queued, True
            change.audit("queue-lead" if queued else "unqueue-lead", "lead", lead)
        # A claim has no audit event, because a dialer makes one for each call. Who gives a lead back is on record.
        if queued is not None and release(row, actor):
            change.audit("release-lead", "lead", lead)
        offered = bool(queued) and await may_be_called(change, row)
    return LeadChanged(lead, changed, ended, offered, await records.standing(change))


async def put_leads(records: Records, actor: Actor, given: Sequence[LeadGiven]) -> tuple[int, int, Standing]:
    """Add new leads and change existing ones, in one transaction. Returns how many were added and changed.

    Raises Unwritable.
    """
    async with records.change(actor) as change:
        added, altered = await put_leads_within(change, given)
    return added, altered, await records.standing(change)


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
    values = [_new(change, one.id, one.all_numbers[0], one.name or "") for one in given.values()]
    new = {LeadId(lead) for lead in await change.session.scalars(insert, values)}
    await add_further(change, {lead: given[lead].all_numbers for lead in sorted(new)})
    for lead in sorted(new):
        change.audit("add-lead", "lead", lead, number=given[lead].number, **_others_in(given[lead].all_numbers))
    return new


async def _change_all(change: Change, given: Mapping[LeadId, LeadGiven]) -> int:
    """Change existing leads. Returns how many of them really changed."""
    if not given:
        return 0
    rows = select(Lead).where(Lead.id.in_(select(each_of(change.session, given)))).order_by(Lead.id).with_for_update()
    altered, found = 0, (await change.session.scalars(rows)).all()
    others = await further_numbers(change.session, given)
    for row in found:
        one = given[LeadId(row.id)]
        had = _numbers_in(row, others.get(one.id, ()))
        altered += (await _change(change, row, had, _wanted(had, one.number, one.numbers), one.name))[0]
    return altered


def _numbers_in(row: Lead, others: Sequence[LabelledNumber]) -> tuple[LabelledNumber, ...]:
    return (LabelledNumber(E164(row.number), row.number_label), *others)


def _wanted(
    had: Sequence[LabelledNumber], number: E164 | None, numbers: Sequence[LabelledNumber]
) -> tuple[LabelledNumber, ...]:
    """Return the numbers of a lead after a change. Raises TooManyNumbers."""
    if numbers:
        return distinct(numbers)
    return tuple(had) if number is None else with_first(had, number)


def _others_in(numbers: Sequence[LabelledNumber]) -> dict[str, str]:
    """Return the numbers beside the first one, as particulars of an audit event."""
    return {"numbers": ", ".join(one.number for one in numbers)} if len(numbers) > 1 else {}


async def existing_lead(session: AsyncSession, lead: LeadId) -> Lead:
    """Return a lead, with its row locked until the transaction ends. Raises UnknownLead."""
    row = await session.scalar(select(Lead).where(Lead.id == lead).with_for_update())
    if row is None:
        raise UnknownLead(f"There is no lead {lead}. Add it first.")
    return row


async def may_be_called(change: Change, row: Lead) -> bool:
    """Return whether the gate will let a call to some number of a lead pass, by the database after this change."""
    await change.session.flush()
    lead = LeadId(row.id)
    calls = [(one.number, lead) for one in await numbers_of(change.session, lead)]
    known = await facts_on_record(change.session, calls, change.at)
    return any(judge(facts, change.at).verdict is Verdict.ALLOW for facts in known)


async def put_new(
    change: Change, lead: LeadId, number: E164, name: str = "", numbers: Sequence[LabelledNumber] = ()
) -> bool:
    """Add a lead within a change. Returns False if the lead exists, or another transaction adds it at the same time.

    `numbers` are all numbers of the lead, if there are several. Raises TooManyNumbers, Unwritable.
    """
    telephones = distinct(numbers) if numbers else (LabelledNumber(number),)
    values = _new(change, lead, telephones[0], name)
    insert = insert_into(change.session, Lead).values(values).on_conflict_do_nothing().returning(Lead.id)
    if await change.session.scalar(insert) is None:
        return False
    await add_further(change, {lead: telephones})
    change.audit("add-lead", "lead", lead, number=telephones[0].number, **_others_in(telephones))
    return True


def _new(change: Change, lead: LeadId, first: LabelledNumber, name: str) -> dict[str, Any]:
    name = cleaned(name, LONGEST_NAME, "The name")
    return {
        "id": lead,
        "number": first.number,
        "number_label": first.label,
        "name": name,
        "name_folded": folded(name),
        "created_at": change.at,
        "created_by": change.actor.name,
    }


async def _change(
    change: Change, row: Lead, had: Sequence[LabelledNumber], numbers: Sequence[LabelledNumber], name: str | None
) -> tuple[bool, tuple[int, ...]]:
    """Change a lead whose row is locked. Returns whether anything changed, and the overrides that ended."""
    name = row.name if name is None else cleaned(name, LONGEST_NAME, "The name")
    if (tuple(numbers), name) == (tuple(had), row.name):
        return False, ()
    was, first = had[0].number, numbers[0].number
    row.name, row.name_folded = name, folded(name)
    row.changed_at, row.changed_by = change.at, change.actor.name
    await write_numbers(change, row, had, numbers)
    others = _others_in(numbers) if had[1:] != numbers[1:] else {}
    change.audit("change-lead", "lead", row.id, was=was, number=first, **others)
    removed = [one.number for one in had if one.number not in {left.number for left in numbers}]
    if not removed:
        return True, ()
    moved = f"changed from {was} to {first}" if removed == [was] else f"{' and '.join(removed)} was removed"
    kept = [one.number for one in numbers]
    return True, await end_overrides_elsewhere(change, LeadId(row.id), kept, f"The lead's number {moved}.")
