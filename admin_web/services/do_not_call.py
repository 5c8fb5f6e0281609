"""Do Not Call for a lead: the lead's number is added to the company's own list, and the lead's own overrides end."""

from dataclasses import dataclass, replace

from sqlalchemy import select

from admin_web.record.changes import PENDING, Actor, Change, Records, Standing
from admin_web.record.models import Lead, Override
from admin_web.services.leads import existing_lead
from admin_web.services.revocation import end_overrides
from admin_web.services.suppression import suppress_within
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
        blocked = await block_within(change, row, SWITCH, "The Do-Not-Call switch of the lead was turned on.")
    return replace(blocked, standing=await records.standing())


async def block_within(change: Change, row: Lead, source: str, reason: str) -> Blocked:
    """Add the number of a lead to the company's own list, and end the lead's own overrides, within a change.

    The lead's row must be locked. A person who asks not to be called revokes earlier consent (47 CFR
    64.1200(a)(10)). If the override stayed live, the entry would block every lead on this number except this one.
    """
    lead, number = LeadId(row.id), E164(row.number)
    done = await suppress_within(change, number, source=source, lead=lead, note=reason)
    ended = await end_overrides(change, lead, reason)
    open_leads = select(Override.lead_id).where(Override.id.in_(set(done.open_overrides) - set(ended)))
    still_open = tuple(LeadId(other) for other in await change.session.scalars(open_leads.order_by(Override.lead_id)))
    return Blocked(lead, number, done.added, ended, still_open, PENDING)
