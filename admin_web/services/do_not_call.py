"""Do Not Call for a lead: its numbers are added to the company's own list, and the lead's own overrides end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from admin_web.record.changes import PENDING, Actor, Change, Records, Standing
from admin_web.record.lead_numbers import numbers_of
from admin_web.record.models import Lead, Override
from admin_web.services.lead_numbers import NotANumberOfLead
from admin_web.services.leads import existing_lead
from admin_web.services.requests import Request, request_within
from compliance.numbers import E164, LeadId

SWITCH, WRAP_UP = "switch", "wrap-up"
"""The sources of the suppression entries."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A lead whose numbers are blocked now. `number` is the first of them. `added` is False if all were listed before.

    `ended` are the lead's own overrides, which have ended. `still_open` are other leads on the number that have
    overrides. Such an override is the consent of another person, so an admin must decide about it.
    """

    lead: LeadId
    number: E164
    numbers: tuple[E164, ...]
    added: bool
    ended: tuple[int, ...]
    still_open: tuple[LeadId, ...]
    standing: Standing


async def block_lead(records: Records, actor: Actor, lead: LeadId, numbers: Sequence[E164] = ()) -> Blocked:
    """Turn a lead's Do-Not-Call switch on, which blocks these of its numbers, or all of them.

    Raises UnknownLead, NotANumberOfLead.
    """
    async with records.change(actor) as change:
        row = await existing_lead(change.session, lead)
        request = Request(SWITCH, records.today(), "The Do-Not-Call switch of the lead was turned on.")
        blocked = await block_within(change, row, request, numbers)
    return replace(blocked, standing=await records.standing(change))


async def block_within(change: Change, row: Lead, request: Request, numbers: Sequence[E164] = ()) -> Blocked:
    """Record a lead's own request within a change, which blocks its numbers and ends its own overrides on them.

    Without `numbers`, all numbers of the lead are blocked, because the person asked and not the telephone. The lead's
    row must be locked. Raises NotANumberOfLead. A person who asks not to be called revokes earlier consent (47 CFR
    64.1200(a)(10)). If the override stayed live, the entry would block every lead on this number except this one.
    """
    lead = LeadId(row.id)
    chosen = chosen_numbers([one.number for one in await numbers_of(change.session, lead)], lead, numbers)
    # The order is that of every other change of several numbers, so that two requests cannot deadlock.
    done = [await request_within(change, number, request, row) for number in sorted(chosen)]
    left = [override for one in done for override in one.still_open]
    open_leads = select(Override.lead_id).where(Override.id.in_(left)).distinct().order_by(Override.lead_id)
    return Blocked(
        lead,
        chosen[0],
        tuple(chosen),
        any(one.added for one in done),
        tuple(override for one in done for override in one.ended),
        tuple(LeadId(other) for other in await change.session.scalars(open_leads)),
        PENDING,
    )


def chosen_numbers(known: Sequence[E164], lead: LeadId, numbers: Sequence[E164]) -> Sequence[E164]:
    """Return those of a lead's numbers that were chosen, in the lead's order; all if none was.

    Raises NotANumberOfLead.
    """
    if other := [number for number in numbers if number not in known]:
        raise NotANumberOfLead(f"Lead {lead} does not have the number {other[0]}. Its numbers are {', '.join(known)}.")
    return [number for number in known if not numbers or number in numbers]
