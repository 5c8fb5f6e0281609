"""Actions on a lead's page: call it, wrap up the call, block its number, lift the number again."""

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.services.calling import AlreadyCalling, NoPbxConfigured, NotCalled, NoTelephone, call_lead
from admin_web.services.do_not_call import Blocked, block_lead
from admin_web.services.lead_numbers import NotANumberOfLead
from admin_web.services.suppression import lift
from admin_web.services.wrap_up import Outcome, WrappedUp, wrap_up
from admin_web.site import lead_sentences
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import PBX, RECORDS
from admin_web.site.labels import national
from admin_web.site.pages import Notice, in_force, render, see_other
from admin_web.site.routing import Route
from admin_web.site.subjects import lead_of, the_lead
from compliance.numbers import E164
from compliance.refusal import Unwritable


async def call(request: web.Request) -> web.StreamResponse:
    """Ask the PBX to ring the person's telephone and then dial the lead, through the gate."""
    form, lead = await read_form(request), lead_of(request)
    number = E164(form.text("number")) if form.text("number") else None
    try:
        done = await call_lead(request.app[RECORDS], request.app[PBX], actor(request), lead, number)
    except (NoPbxConfigured, NoTelephone, AlreadyCalling, NotCalled, NotANumberOfLead) as error:
        return see_other(request, "lead", lead=lead, notice=Notice(str(error), "bad"))
    text = f"{national(done.number)} is being dialled." if done.picked_up else "Your telephone is ringing: pick it up."
    return see_other(request, "lead", lead=lead, notice=Notice(f"{text} Wrap up the call when it is over."))


async def wrapped_up(request: web.Request) -> web.StreamResponse:
    """Record how a call ended. The outcome Do Not Call blocks the number."""
    form, lead = await read_form(request), lead_of(request)
    if form.text("outcome") not in list(Outcome):
        form.errors["outcome"] = "Choose how the call ended."
    else:
        outcome = Outcome(form.text("outcome"))
        try:
            done = await wrap_up(
                request.app[RECORDS],
                actor(request),
                lead,
                outcome,
                note=form.text("note"),
                decision_id=form.text("decision"),
                numbers=_ticked(form),
            )
        except NotANumberOfLead as error:
            form.errors["outcome"] = str(error)
        except Unwritable as error:
            form.errors["note"] = str(error)
        else:
            return see_other(request, "lead", lead=lead, notice=await _wrapped_up(request, done))
    shown, pbx = await the_lead(request), request.app[PBX].configured
    return await render(request, "leads/page.html", status=422, lead=shown, outcomes=list(Outcome), form=form, pbx=pbx)


async def switched_on(request: web.Request) -> web.StreamResponse:
    """Turn the Do-Not-Call switch on, which blocks every lead on the number at once."""
    lead, numbers = lead_of(request), _ticked(await read_form(request))
    try:
        done = await block_lead(request.app[RECORDS], actor(request), lead, numbers)
    except NotANumberOfLead as error:
        return see_other(request, "lead", lead=lead, notice=Notice(f"Nothing was changed. {error}", "bad"))
    return see_other(request, "lead", lead=lead, notice=_blocked(done))


async def lifting(request: web.Request) -> web.StreamResponse:
    """Show which leads could be called after the switch is turned off, and ask for the reason."""
    return await render(request, "leads/lift.html", lead=await the_lead(request), form=EMPTY)


async def switched_off(request: web.Request) -> web.StreamResponse:
    """Lift the number from the company's own list, with a reason."""
    form, lead = await read_form(request), await the_lead(request)
    try:
        done = await lift(request.app[RECORDS], actor(request), lead.number, reason=form.text("reason"))
    except Unwritable as error:
        form.errors["reason"] = str(error)
        return await render(request, "leads/lift.html", status=422, lead=lead, form=form)
    said = f"{national(done.number)} is off the company's own Do-Not-Call list."
    return see_other(request, "lead", lead=lead.id, notice=in_force(said, done.standing))


def _blocked(done: Blocked) -> Notice:
    return in_force(lead_sentences.blocked(done), done.standing)


async def _wrapped_up(request: web.Request, done: WrappedUp) -> Notice:
    """Return the notice about a wrapped-up call."""
    if done.blocked is not None:
        return _blocked(done.blocked)
    stand = (await the_lead(request)).best
    return Notice(lead_sentences.wrapped_up(was_queued=done.was_queued, queued=done.queued, stand=stand))


def _ticked(form: Form) -> list[E164]:
    """Return the numbers that were ticked; none if the form offered none."""
    return [E164(number) for number in form.all("block")]


ROUTES = (
    Route("POST", "/leads/{lead}/call", call, Permission.CALL, "lead-call"),
    Route("POST", "/leads/{lead}/wrap-up", wrapped_up, Permission.CALL, "lead-wrap-up"),
    Route("POST", "/leads/{lead}/do-not-call", switched_on, Permission.SUPPRESS, "lead-block"),
    Route("GET", "/leads/{lead}/lift", lifting, Permission.LIFT, "lead-lift"),
    Route("POST", "/leads/{lead}/lift", switched_off, Permission.LIFT, "lead-lift"),
)
