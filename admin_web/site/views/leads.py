"""Leads: the list, the page of one lead, and the forms to add and to change a lead."""

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.lead import LeadPage, lead_page
from admin_web.queries.lead_state import possible_states
from admin_web.queries.leads import lead_list, wanted
from admin_web.queries.paging import read_key
from admin_web.services.leads import LeadExists, NumberMoved, UnknownLead, add_lead, change_lead
from admin_web.services.wrap_up import Outcome
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW, PBX, RECORDS, SETTINGS
from admin_web.site.pages import Notice, in_force, render, see_other
from admin_web.site.routing import Route
from compliance.numbers import E164, InvalidNumber, LeadId, lead_id, normalize
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
    lead, number = lead_id(form.text("id")), _number(request, form)
    if lead is None:
        form.errors["id"] = NOT_AN_ID
    if lead is not None and number is not None:
        try:
            await add_lead(request.app[RECORDS], actor(request), lead, number, form.text("name"))
            return see_other(request, "lead", lead=lead, notice=Notice(f"Lead {lead} is on record."))
        except LeadExists as error:
            form.errors["id"] = str(error)
        except Unwritable as error:
            form.errors["name"] = str(error)
    return await render(request, "leads/form.html", status=422, form=form, lead=None)


async def edit(request: web.Request) -> web.StreamResponse:
    """Show the form for a change, with a warning if a new number would end an override."""
    lead = await the_lead(request)
    values = {"name": lead.name, "number": lead.number, "was": lead.number, "queued": "yes" if lead.queued else ""}
    return await render(request, "leads/form.html", form=Form(values), lead=lead)


async def change(request: web.Request) -> web.StreamResponse:
    """Change a lead as the form says, unless somebody else has changed its number meanwhile."""
    form, lead = await read_form(request), await the_lead(request)
    number = _number(request, form)
    if number is not None:
        try:
            done = await change_lead(
                request.app[RECORDS],
                actor(request),
                lead.id,
                number=number,
                name=form.text("name"),
                queued=form.ticked("queued"),
                was=E164(form.text("was")),
            )
        except NumberMoved as error:
            form.errors["number"] = f"{as_sentence(str(error))} Check the number and save again."
            form = Form({**form.values, "was": lead.number}, form.errors)
        except Unwritable as error:
            form.errors["name"] = str(error)
        else:
            ended = " Its override ended with the old number." if done.ended_overrides else ""
            notice = in_force(f"Lead {lead.id} is changed.{ended}", done.standing) if ended else Notice("Saved.")
            return see_other(request, "lead", lead=lead.id, notice=notice)
    return await render(request, "leads/form.html", status=422, form=form, lead=lead)


async def the_lead(request: web.Request) -> LeadPage:
    """Read the lead named in the URL. Raises UnknownLead."""
    return await lead_page(request.app[DATABASE], lead_of(request), request.app[NOW]())


def lead_of(request: web.Request) -> LeadId:
    """Read the lead's id from the URL. Raises UnknownLead."""
    lead = lead_id(request.match_info["lead"])
    if lead is None:
        raise UnknownLead("There is no such lead.")
    return lead


def _number(request: web.Request, form: Form) -> E164 | None:
    """Read the number in any spelling of the region. Record the reason, and return None, if it is no number."""
    settings = request.app[SETTINGS]
    try:
        return normalize(form.text("number"), settings.region, settings.prefix)
    except InvalidNumber as error:
        form.errors["number"] = str(error)
        return None


ROUTES = (
    Route("GET", "/leads", leads, Permission.SEE_LEADS, "leads"),
    # A lead id never contains a plus sign, so this path cannot be the path of a lead's page.
    Route("GET", "/leads/+new", new, Permission.EDIT_LEADS, "lead-new"),
    Route("POST", "/leads/+new", add, Permission.EDIT_LEADS, "lead-new"),
    Route("GET", "/leads/{lead}", page, Permission.SEE_LEADS, "lead"),
    Route("GET", "/leads/{lead}/edit", edit, Permission.EDIT_LEADS, "lead-edit"),
    Route("POST", "/leads/{lead}/edit", change, Permission.EDIT_LEADS, "lead-edit"),
)
