"""Leads: the list, the page of one lead, and the forms to add and to change a lead."""

from collections.abc import Sequence

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.lead import LeadPage
from admin_web.queries.lead_state import possible_states
from admin_web.queries.leads import lead_list, wanted
from admin_web.queries.paging import read_key
from admin_web.services import LabelledNumber
from admin_web.services.lead_numbers import MOST_NUMBERS, Label, distinct
from admin_web.services.leads import LeadExists, NumberMoved, add_lead, change_lead
from admin_web.services.wrap_up import Outcome
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW, PBX, RECORDS, SETTINGS
from admin_web.site.pages import Notice, in_force, render, see_other
from admin_web.site.routing import Route
from admin_web.site.subjects import the_lead
from compliance.numbers import E164, InvalidNumber, lead_id, normalize
from compliance.refusal import Unwritable, as_sentence

NOT_AN_ID = "A lead id is 1 to 64 letters, digits, dots, dashes and underscores, as your CRM has it."


async def leads(request: web.Request) -> web.StreamResponse:
    """List leads, searched by name, id or number and filtered by state."""
    settings, asked = request.app[SETTINGS], request.query
    sought = wanted(asked.get("q", ""), asked.get("state", ""), region=settings.region, prefix=settings.prefix)
    after = read_key(asked.get("after", ""), str, str)
    found = await lead_list(request.app[DATABASE], sought, request.app[NOW](), after=after)
    return await render(
        request, "leads/list.html", found=found, sought=sought, states=possible_states(), at_start=after is None
    )


async def page(request: web.Request) -> web.StreamResponse:
    """Show one lead: its state and the reason, the possible actions, and its timeline."""
    shown = await the_lead(request)
    return await render(
        request, "leads/page.html", lead=shown, outcomes=list(Outcome), form=EMPTY, pbx=request.app[PBX].configured
    )


async def new(request: web.Request) -> web.StreamResponse:
    """Show the form for a new lead."""
    return await render(request, "leads/form.html", form=EMPTY, lead=None)


async def add(request: web.Request) -> web.StreamResponse:
    """Add a lead under the CRM's own id."""
    form = await read_form(request)
    lead, numbers = lead_id(form.text("id")), _numbers(request, form)
    if lead is None:
        form.errors["id"] = NOT_AN_ID
    if lead is not None and numbers:
        try:
            await add_lead(request.app[RECORDS], actor(request), lead, numbers[0].number, form.text("name"), numbers)
            return see_other(request, "lead", lead=lead, notice=Notice(f"Lead {lead} is on record."))
        except LeadExists as error:
            form.errors["id"] = str(error)
        except Unwritable as error:
            form.errors["name"] = str(error)
    return await render(request, "leads/form.html", status=422, form=form, lead=None)


async def edit(request: web.Request) -> web.StreamResponse:
    """Show the form for a change, with a warning if a new number would end an override."""
    lead = await the_lead(request)
    values = {"name": lead.name, "was": _all_numbers(lead), "queued": "yes" if lead.queued else ""}
    for place, one in enumerate(lead.numbers):
        values |= {_field("number", place): one.number, _field("label", place): one.label}
    return await render(request, "leads/form.html", form=Form(values), lead=lead)


async def change(request: web.Request) -> web.StreamResponse:
    """Change a lead as the form says, unless somebody else has changed its number meanwhile."""
    form, lead = await read_form(request), await the_lead(request)
    if numbers := _numbers(request, form):
        try:
            done = await change_lead(
                request.app[RECORDS],
                actor(request),
                lead.id,
                numbers=numbers,
                name=form.text("name"),
                queued=form.ticked("queued"),
                was=[E164(number) for number in form.text("was").split(",")],
            )
        except NumberMoved as error:
            form.errors["number"] = f"{as_sentence(str(error))} Check the number and save again."
            form = Form({**form.values, "was": _all_numbers(lead)}, form.errors)
        except Unwritable as error:
            form.errors["name"] = str(error)
        else:
            ended = _ended(done.ended_overrides)
            notice = in_force(f"Lead {lead.id} is changed.{ended}", done.standing) if ended else Notice("Saved.")
            return see_other(request, "lead", lead=lead.id, notice=notice)
    return await render(request, "leads/form.html", status=422, form=form, lead=lead)


def _ended(overrides: Sequence[int]) -> str:
    """Return the sentence about overrides that ended with a removed number; empty if none did."""
    if not overrides:
        return ""
    if len(overrides) == 1:
        return f" Override {overrides[0]} ended with the old number."
    return f" Overrides {', '.join(map(str, overrides))} ended with the old numbers."


def _all_numbers(lead: LeadPage) -> str:
    return ",".join(one.number for one in lead.numbers)


def _field(name: str, place: int) -> str:
    """Return the name of a form's field for the number at this place: `number`, `number2`, `number3`."""
    return f"{name}{place + 1}" if place else name


def _numbers(request: web.Request, form: Form) -> tuple[LabelledNumber, ...]:
    """Read the numbers in any spelling of the region; empty fields beside the first one count for nothing.

    If one is no number, record the reason and return nothing.
    """
    settings, numbers = request.app[SETTINGS], []
    for place in range(MOST_NUMBERS):
        name, label = _field("number", place), form.text(_field("label", place))
        if place and not form.text(name):
            continue
        try:
            number = normalize(form.text(name), settings.region, settings.prefix)
        except InvalidNumber as error:
            form.errors[name] = str(error)
        else:
            numbers.append(LabelledNumber(number, label if label in list(Label) else ""))
    return () if any(name.startswith("number") for name in form.errors) else distinct(numbers)


ROUTES = (
    Route("GET", "/leads", leads, Permission.SEE_LEADS, "leads"),
    # A lead id never contains a plus sign, so this path cannot be the path of a lead's page.
    Route("GET", "/leads/+new", new, Permission.EDIT_LEADS, "lead-new"),
    Route("POST", "/leads/+new", add, Permission.EDIT_LEADS, "lead-new"),
    Route("GET", "/leads/{lead}", page, Permission.SEE_LEADS, "lead"),
    Route("GET", "/leads/{lead}/edit", edit, Permission.EDIT_LEADS, "lead-edit"),
    Route("POST", "/leads/{lead}/edit", change, Permission.EDIT_LEADS, "lead-edit"),
)
