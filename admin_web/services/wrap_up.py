"""Wrapping up a call: recording its outcome, and applying the consequences for the lead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import select

from admin_web.record.changes import Actor, Change, Records
from admin_web.record.models import DecisionRecord, Disposition
from admin_web.services.claims import release
from admin_web.services.do_not_call import WRAP_UP, Blocked, block_within
from admin_web.services.leads import existing_lead, may_be_called
from admin_web.services.requests import Request
from compliance.consent import Role
from compliance.numbers import E164, LeadId
from compliance.refusal import cleaned, require

LONGEST_NOTE = 2000


class Outcome(StrEnum):
    """How a call ended, as the agent reports it."""

    NO_ANSWER = "no-answer"
    CALL_BACK = "call-back"
    SALE = "sale"
    NOT_INTERESTED = "not-interested"
    WRONG_NUMBER = "wrong-number"
    DO_NOT_CALL = "do-not-call"


FINAL = {Outcome.SALE, Outcome.NOT_INTERESTED, Outcome.WRONG_NUMBER}
"""Outcomes that remove a lead from the dial queue. Do Not Call is not among them: its list entry keeps the lead out of
the queue, so that the lead returns if consent is recorded later.
"""


@dataclass(frozen=True, slots=True)
class WrappedUp:
    """A call that is wrapped up.

    `queued` means that the lead is in the dial queue, and `was_queued` that it was before. `offered` means that the
    queue does not skip it either, because it may be called. `blocked` is the result of Do Not Call.
    """

    disposition_id: int
    lead: LeadId
    was_queued: bool
    queued: bool
    offered: bool
    blocked: Blocked | None


async def wrap_up(
    records: Records,
    actor: Actor,
    lead: LeadId,
    outcome: Outcome,
    *,
    note: str = "",
    decision_id: str = "",
    numbers: Sequence[E164] = (),
) -> WrappedUp:
    """Record how a call to a lead ended, update the lead's place in the queue, and block its numbers on Do Not Call.

    Do Not Call blocks `numbers`, or all numbers of the lead. If the actor has claimed the lead, the claim ends.
    `decision_id` identifies the call; an id that is not on record for this lead is ignored. Raises UnknownLead,
    NotANumberOfLead, Unwritable, NotPermitted.
    """
    require(lambda role: role is not Role.AUDITOR, actor.role, "wrap up calls")
    note = cleaned(note, LONGEST_NOTE, "The note")
    async with records.change(actor) as change:
        row = await existing_lead(change.session, lead)
        blocked = None
        if outcome is Outcome.DO_NOT_CALL:
            said = "Requested on a call that was wrapped up as Do Not Call."
            blocked = await block_within(change, row, Request(WRAP_UP, records.today(), said), numbers)
        was_queued = row.queued
        row.last_called_at, row.queued = change.at, row.queued and outcome not in FINAL
        release(row, actor)
        disposition = Disposition(
            lead_id=lead,
            decision_id=await _known_decision(change, lead, decision_id),
            outcome=outcome,
            note=note,
            wrapped_up_at=change.at,
            wrapped_up_by=actor.name,
        )
        change.session.add(disposition)
        await change.session.flush()
        offered = row.queued and await may_be_called(change, row)
        change.audit("wrap-up", "lead", lead, outcome=outcome.value, disposition=disposition.id)
    if blocked is not None:
        blocked = replace(blocked, standing=await records.standing(change))
    return WrappedUp(disposition.id, lead, was_queued, row.queued, offered, blocked)


async def _known_decision(change: Change, lead: LeadId, decision_id: str) -> str:
    known = select(DecisionRecord.id).where(DecisionRecord.id == decision_id[:40], DecisionRecord.lead == lead)
    return await change.session.scalar(known) or ""
