"""Do Not Call, said of a lead: its number goes on the company's own list, and its own consent ends."""

from dataclasses import dataclass, replace

from sqlalchemy import select

from admin_web.record.changes import PENDING, Actor, Change, Records, Standing
from admin_web.record.models import Lead, Override
from admin_web.services.leads import existing_lead
from admin_web.services.revocation import end_overrides
from admin_web.services.suppression import suppress_within
from compliance.numbers import E164, LeadId

SWITCH, WRAP_UP = "switch", "wrap-up"
"""What the entry gives as its source."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A lead that may not be called, with every other on its number. `added` is False when it was listed before.

    `ended` are the lead's own overrides that ended with it; `still_open` are other leads on the number, which hold
    an override of their own: another person's consent, for an admin to judge.
    """

    lead: LeadId
    number: E164
    added: bool
    ended: tuple[int, ...]
    still_open: tuple[LeadId, ...]
    standing: Standing


async def block_lead(records: Records, actor: Actor, lead: LeadId) -> Blocked:
    """Turn a lead's Do-Not-Call switch on: nobody on its number may be called. Raises UnknownLead."""
    async with records.change(actor) as change:
        row = await existing_lead(change.session, lead)
        blocked = await block_within(change, row, SWITCH, "The Do-Not-Call switch of the lead was turned on.")
    return replace(blocked, standing=await records.standing())


async def block_within(change: Change, row: Lead, source: str, reason: str) -> Blocked:
    """Put a held lead's number on the company's own list within a change, and end the lead's own override.

    Whoever asks not to be called takes back the consent that was given before (47 CFR 64.1200(a)(10)): with the
    override left alive, the entry would block everybody on this number but the one who asked.
    """
    lead, number = LeadId(row.id), E164(row.number)
    done = await suppress_within(change, number, source=source, lead=lead, note=reason)
    ended = await end_overrides(change, lead, reason)
    open_leads = select(Override.lead_id).where(Override.id.in_(set(done.open_overrides) - set(ended)))
    still_open = tuple(LeadId(other) for other in await change.session.scalars(open_leads.order_by(Override.lead_id)))
    return Blocked(lead, number, done.added, ended, still_open, PENDING)
