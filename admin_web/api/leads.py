"""Leads over the API: find, read, add, change."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, WriteResult
from admin_web.api.problem import Problem
from admin_web.queries.lead_state import LeadState
from admin_web.queries.leads import LeadRow, lead_list, lead_of, wanted
from admin_web.services.leads import LeadGiven, UnknownLead, add_lead, change_lead, put_leads
from admin_web.services.suppression import CHUNK
from compliance.facts import LiveOverride
from compliance.numbers import InvalidNumber, LeadId
from compliance.rule import openable, sentence_of


class OpenOverride(Result):
    """The override that opens a lead."""

    override: str
    basis: str
    expires_at: datetime


class LeadShown(Result):
    """A lead, and whether it may be dialled, according to the database; `reason` is the one that the gate would give.

    `sentence` is the reason in words. `openable` says whether an override can open this block. `queued` says whether
    the lead is in the dial queue. The queue skips a lead while it is blocked: `offered` says that it does not.
    """

    lead: str
    name: str
    number: str
    queued: bool
    offered: bool
    state: LeadState
    reason: str
    sentence: str
    openable: bool
    lists: list[str]
    override: OpenOverride | None


class LeadPage(Result):
    """Leads by name. `next` is empty on the last page. With a `state`, even a short page may have a next one."""

    items: list[LeadShown]
    next: str


class ListLeads(words.Paged):
    """A filter of leads: `search` is a number in any spelling, an id, or the beginning of a name."""

    search: words.Search = ""
    state: LeadState | None = None


class GetLead(Arguments):
    """The lead to read."""

    lead: words.Lead


class AddLead(Arguments):
    """A new lead."""

    lead: words.Lead
    number: words.Number
    name: words.Name = ""


class PutLead(Arguments):
    """A lead to add or to change; an omitted name stays as it is."""

    lead: words.Lead
    number: words.Number
    name: words.Name | None = None


class ChangeLead(Arguments):
    """Changes of a lead; omitted fields stay as they are."""

    lead: words.Lead
    number: words.Number | None = None
    name: words.Name | None = None


class PutLeads(Arguments):
    """Leads to add or to change: all of them or, after an error, none."""

    leads: Annotated[list[PutLead], Field(min_length=1, max_length=CHUNK)]


class LeadKept(WriteResult):
    """A lead after the change; `ended_overrides` are overrides that ended because its number changed."""

    lead: str
    changed: bool
    ended_overrides: list[int]


class LeadsKept(WriteResult):
    """How many leads were added and how many changed; the rest were unchanged."""

    added: int
    changed: int


async def list_leads(call: ApiCall, asked: ListLeads) -> LeadPage:
    """Find leads."""
    sought = wanted(asked.search, asked.state or "", region=call.settings.region)
    key = asked.key(str, str)
    found = await lead_list(call.database, sought, call.records.now(), after=key, rows=asked.limit)
    return LeadPage(items=[_shown(row) for row in found.page.rows], next=found.page.next_key)


async def get_lead(call: ApiCall, asked: GetLead) -> LeadShown:
    """Read one lead."""
    row = await lead_of(call.database, LeadId(asked.lead), call.records.now())
    if row is None:
        raise UnknownLead(f"There is no lead {asked.lead}.")
    return _shown(row)


async def post_lead(call: ApiCall, asked: AddLead) -> LeadKept:
    """Add a lead."""
    await add_lead(call.records, call.actor, LeadId(asked.lead), call.number(asked.number), asked.name)
    return LeadKept(lead=asked.lead, changed=True, ended_overrides=[])


async def put_lead(call: ApiCall, asked: PutLead) -> LeadsKept:
    """Add a lead, or change it if it exists."""
    return await put_many(call, PutLeads(leads=[asked]))


async def patch_lead(call: ApiCall, asked: ChangeLead) -> LeadKept:
    """Change the given fields of a lead."""
    number = call.number(asked.number) if asked.number is not None else None
    done = await change_lead(call.records, call.actor, LeadId(asked.lead), number=number, name=asked.name)
    return LeadKept(lead=done.lead, changed=done.changed, ended_overrides=list(done.ended_overrides))


async def put_many(call: ApiCall, asked: PutLeads) -> LeadsKept:
    """Add and change many leads."""
    given = []
    for place, lead in enumerate(asked.leads):
        try:
            given.append(LeadGiven(LeadId(lead.lead), call.number(lead.number), lead.name))
        except InvalidNumber as error:
            where = {"at": f"/leads/{place}/number", "detail": str(error)}
            raise Problem("invalid-number", str(error), [where]) from None
    added, changed, _ = await put_leads(call.records, call.actor, given)
    return LeadsKept(added=added, changed=changed)


def _shown(row: LeadRow) -> LeadShown:
    return LeadShown(
        lead=row.id,
        name=row.name,
        number=row.number,
        queued=row.queued,
        offered=row.queued and row.stand.dialable,
        state=row.stand.state,
        reason=row.stand.ruling.reason,
        sentence=sentence_of(row.stand.ruling.reason),
        openable=openable(row.stand.ruling),
        lists=list(row.stand.lists),
        override=_opening(row.stand.override),
    )


def _opening(override: LiveOverride | None) -> OpenOverride | None:
    if override is None:
        return None
    return OpenOverride(override=override.id, basis=override.basis, expires_at=override.expires_at)
