"""Do Not Call for a lead: the lead's number is added to the company's own list, and the lead's own overrides end."""

from dataclasses import dataclass, replace

from sqlalchemy import select

from admin_web.record.changes import PENDING, Actor, Change, Records, Standing
from admin_web.record.models import Lead, Override
from admin_web.services.leads import existing_lead
from admin_web.services.requests import Request, request_within
from compliance.numbers import E164, LeadId

SWITCH, WRAP_UP = "switch", "wrap-up"
"""The sources of the suppression entries."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A lead whose number is blocked now. `added` is False if the number was on the list before.

    `ended` are the lead's own overrides, which have ended. `still_open` are other leads on the number that have
    overrides. Such an override is the consent of another person, so an admin must decide about it.
    """

    lead: LeadId
    number: E164
    added: bool
    ended: tuple[int, ...]
    still_open: tuple[LeadId, ...]
    standing: Standing


async def block_lead(records: Records, actor: Actor, lead: LeadId) -> Blocked:
    """Turn a lead's Do-Not-Call switch on, which blocks its number. Raises UnknownLead."""
    async with records.change(actor) as change:
        row = await existing_lead(change.session, lead)
        request = Request(SWITCH, records.today(), "The Do-Not-Call switch of the lead was turned on.")
        blocked = await block_within(change, row, request)
    return replace(blocked, standing=await records.standing())


async def block_within(change: Change, row: Lead, request: Request) -> Blocked:
    """Record a lead's own request within a change, which blocks its number and ends its own overrides.

    The lead's row must be locked. A person who asks not to be called revokes earlier consent (47 CFR
    64.1200(a)(10)). If the override stayed live, the entry would block every lead on this number except this one.
    """
    lead, number = LeadId(row.id), E164(row.number)
    done = await request_within(change, number, request, row)
    open_leads = select(Override.lead_id).where(Override.id.in_(done.still_open))
    still_open = tuple(LeadId(other) for other in await change.session.scalars(open_leads.order_by(Override.lead_id)))
    return Blocked(lead, number, done.added, done.ended, still_open, PENDING)
