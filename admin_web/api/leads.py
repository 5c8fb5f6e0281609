"""Leads over the API: find, read, add, change."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from admin_web.api import words
from admin_web.api.operation import ApiCall, Arguments, Result, WriteResult, operation
from admin_web.api.problem import Problem
from admin_web.people.tokens import Scope
from admin_web.queries.lead_state import LeadState, NumberStand
from admin_web.queries.leads import LeadRow, lead_list, lead_of, wanted
from admin_web.services import LabelledNumber as NumberOfLead
from admin_web.services.lead_numbers import MOST_NUMBERS, Label, distinct
from admin_web.services.leads import LeadGiven, UnknownLead, add_lead, change_lead, put_leads
from admin_web.services.suppression import CHUNK
from compliance.facts import LiveOverride
from compliance.numbers import E164, InvalidNumber, LeadId
from compliance.refusal import Refused
from compliance.rule import openable, sentence_of


class NumbersUnclear(Refused):
    """A lead was sent without a number, or with its first number and all its numbers."""


class OpenOverride(Result):
    """The override that opens a lead."""

    override: str
    basis: str
    expires_at: datetime


class LabelledNumber(Arguments):
    """One number of a lead, and what it is; an empty label for unknown."""

    number: words.Number
    label: Label | Literal[""] = ""


class NumberJudged(Result):
    """One number of a lead, and whether the lead may be dialled on it."""

    number: str
    label: str
    state: LeadState
    reason: str
    lists: list[str]
    override: OpenOverride | None


class LeadShown(Result):
    """A lead, and whether it may be dialled, according to the database; `reason` is the one that the gate would give.

    `number` is the first of its `numbers`; each is judged by itself. `state` and what follows are about the first
    number on which the lead may be dialled or, if there is none, about the first one. `sentence` is the reason in
    words. `openable` says whether an override can open this block. `queued` says whether the lead is in the dial queue.
    The queue skips a lead while it is blocked: `offered` says that it does not.
    """

    lead: str
    name: str
    number: str
    numbers: list[NumberJudged]
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


class WithNumbers(Arguments):
    """The numbers of a lead: `number` for the first one, or `numbers` for all, in the order in which they are dialled.

    Send one of the two. With `number`, the other numbers of a lead stay as they are.
    """

    number: words.Number | None = None
    numbers: Annotated[tuple[LabelledNumber, ...], Field(max_length=MOST_NUMBERS)] = ()


class AddLead(WithNumbers):
    """A new lead, with `number` or `numbers`."""

    lead: words.Lead
    name: words.Name = ""


class PutLead(WithNumbers):
    """A lead to add or to change, with `number` or `numbers`; an omitted name stays as it is.

    With `number`, the other numbers of an existing lead stay as they are.
    """

    lead: words.Lead
    name: words.Name | None = None


class ChangeLead(WithNumbers):
    """Changes of a lead; omitted fields stay as they are. `number` changes the first number, `numbers` sets all."""

    lead: words.Lead
    name: words.Name | None = None


class PutLeads(Arguments):
    """Leads to add or to change: all of them or, after an error, none."""

    leads: Annotated[list[PutLead], Field(min_length=1, max_length=CHUNK)]


class LeadKept(WriteResult):
    """A lead after the change; `ended_overrides` are overrides that ended because the lead lost their number."""

    lead: str
    changed: bool
    ended_overrides: list[int]


class LeadsKept(WriteResult):
    """How many leads were added and how many changed; the rest were unchanged."""

    added: int
    changed: int


@operation("list-leads", "GET", "/leads", Scope.READ, refuses=("unknown-page",))
async def list_leads(call: ApiCall, asked: ListLeads) -> LeadPage:
    """Find leads by number, id or name, a page at a time."""
    sought = wanted(asked.search, asked.state or "", region=call.settings.region)
    key = asked.key(str, str)
    found = await lead_list(call.database, sought, call.records.now(), after=key, rows=asked.limit)
    return LeadPage(items=[_shown(row) for row in found.page.rows], next=found.page.next_key)


@operation("get-lead", "GET", "/leads/{lead}", Scope.READ, refuses=("unknown-lead",))
async def get_lead(call: ApiCall, asked: GetLead) -> LeadShown:
    """Read one lead, and whether it may be dialled."""
    row = await lead_of(call.database, LeadId(asked.lead), call.records.now())
    if row is None:
        raise UnknownLead(f"There is no lead {asked.lead}.")
    return _shown(row)


@operation("add-lead", "POST", "/leads", Scope.LEADS, status=201, refuses=("lead-exists", "invalid-number"))
async def post_lead(call: ApiCall, asked: AddLead) -> LeadKept:
    """Add a new lead."""
    number, numbers = _some_numbers(call, asked)
    await add_lead(call.records, call.actor, LeadId(asked.lead), number, asked.name, numbers)
    return LeadKept(lead=asked.lead, changed=True, ended_overrides=[])


@operation("put-lead", "PUT", "/leads/{lead}", Scope.LEADS, refuses=("invalid-number",))
async def put_lead(call: ApiCall, asked: PutLead) -> LeadsKept:
    """Add a lead, or change an existing one. If it loses a number, its live override on it ends."""
    return await put_many.run(call, PutLeads(leads=[asked]))


@operation("change-lead", "PATCH", "/leads/{lead}", Scope.LEADS, refuses=("unknown-lead", "invalid-number"))
async def patch_lead(call: ApiCall, asked: ChangeLead) -> LeadKept:
    """Change a lead's numbers or name. If it loses a number, its live override on it ends."""
    number, numbers = _numbers(call, asked)
    done = await change_lead(
        call.records, call.actor, LeadId(asked.lead), number=number, numbers=numbers, name=asked.name
    )
    return LeadKept(lead=done.lead, changed=done.changed, ended_overrides=list(done.ended_overrides))


@operation("put-leads", "PUT", "/leads", Scope.LEADS, refuses=("invalid-number",))
async def put_many(call: ApiCall, asked: PutLeads) -> LeadsKept:
    """Add or change up to 1,000 leads: all of them or, after an error, none."""
    given = []
    for place, lead in enumerate(asked.leads):
        try:
            number, numbers = _some_numbers(call, lead)
            given.append(LeadGiven(LeadId(lead.lead), number, lead.name, numbers))
        except InvalidNumber as error:
            where = {"at": f"/leads/{place}/number{'s' if lead.numbers else ''}", "detail": str(error)}
            raise Problem("invalid-number", str(error), [where]) from None
    added, changed, _ = await put_leads(call.records, call.actor, given)
    return LeadsKept(added=added, changed=changed)


def _numbers(call: ApiCall, asked: WithNumbers) -> tuple[E164 | None, tuple[NumberOfLead, ...]]:
    """Return the first number of a lead if only that was sent, or else all its numbers.

    Raises InvalidNumber, TooManyNumbers, NumbersUnclear.
    """
    if asked.number is not None and asked.numbers:
        raise NumbersUnclear("Send number or numbers, not both.")
    if not asked.numbers:
        return call.number(asked.number) if asked.number is not None else None, ()
    return None, distinct(NumberOfLead(call.number(one.number), one.label) for one in asked.numbers)


def _some_numbers(call: ApiCall, asked: WithNumbers) -> tuple[E164, tuple[NumberOfLead, ...]]:
    """Return the same for a lead that must have a number. Raises the same."""
    number, numbers = _numbers(call, asked)
    if number is None and not numbers:
        raise NumbersUnclear("Send number or numbers.")
    return number or numbers[0].number, numbers


def _shown(row: LeadRow) -> LeadShown:
    return LeadShown(
        lead=row.id,
        name=row.name,
        number=row.number,
        numbers=[_judged(one) for one in row.numbers],
        queued=row.queued,
        offered=row.queued and row.stand.dialable,
        state=row.stand.state,
        reason=row.stand.ruling.reason,
        sentence=sentence_of(row.stand.ruling.reason),
        openable=openable(row.stand.ruling),
        lists=list(row.stand.lists),
        override=_opening(row.stand.override),
    )


def _judged(one: NumberStand) -> NumberJudged:
    return NumberJudged(
        number=one.number,
        label=one.label,
        state=one.stand.state,
        reason=one.stand.ruling.reason,
        lists=list(one.stand.lists),
        override=_opening(one.stand.override),
    )


def _opening(override: LiveOverride | None) -> OpenOverride | None:
    if override is None:
        return None
    return OpenOverride(override=override.id, basis=override.basis, expires_at=override.expires_at)
