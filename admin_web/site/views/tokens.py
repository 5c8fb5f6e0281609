"""Bearer tokens of the API: list, make, revoke. Admins only."""

from datetime import datetime, tzinfo

from aiohttp import web

from admin_web.people import tokens
from admin_web.people.permissions import Permission
from admin_web.people.tokens import Scope
from admin_web.site.clock import zone_of
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from compliance.refusal import Refused
from compliance.zones import end_of

SCOPES = {
    Scope.READ: "Read leads, the queue, overrides and decisions",
    Scope.SCRUB: "Check whether numbers may be dialled, and nothing else",
    Scope.LEADS: "Add and change leads",
    Scope.DIAL: "Claim leads of the dial queue, report how calls ended, put leads back or take them off",
    Scope.SUPPRESS: "Put numbers on the Do-Not-Call list",
    Scope.LIFT: "Take numbers off the Do-Not-Call list",
    Scope.LISTS: "Block and lift whole area codes, make campaign lists",
    Scope.OVERRIDE: "Place consent overrides with their document",
    Scope.REVOKE: "Revoke overrides",
}

MOST_YEARS = 10


async def token_list(request: web.Request) -> web.StreamResponse:
    """List every token, valid ones first."""
    at = request.app[NOW]()
    found = await tokens.tokens(request.app[DATABASE])
    return await render(request, "tokens/list.html", tokens=sorted(found, key=lambda one: not one.is_good(at)))


async def new(request: web.Request) -> web.StreamResponse:
    """Show the form for a new token."""
    return await render(request, "tokens/new.html", form=EMPTY, scopes=SCOPES)


async def make(request: web.Request) -> web.StreamResponse:
    """Make a token and show it. Only this response contains it."""
    form = await read_form(request)
    chosen = [scope for scope in Scope if form.ticked(f"scope-{scope}")]
    end = _end(form, request.app[NOW](), zone_of(request))
    if not chosen:
        form.errors["scopes"] = "Choose at least one thing that the token may do."
    token = "" if form.errors else await _made(request, form, chosen, end)
    if form.errors:
        return await render(request, "tokens/new.html", status=422, form=form, scopes=SCOPES)
    return await render(request, "tokens/made.html", name=form.text("name"), token=token, scopes=chosen)


async def revoke(request: web.Request) -> web.StreamResponse:
    """Revoke a token at once."""
    form = await read_form(request)
    try:
        await tokens.revoke_token(request.app[DATABASE], actor(request), form.text("name"))
    except Refused as error:
        return see_other(request, "tokens", notice=Notice(str(error), "bad"))
    return see_other(request, "tokens", notice=Notice(f"The token {form.text('name')} is revoked and no longer valid."))


async def _made(request: web.Request, form: Form, scopes: list[Scope], end: datetime | None) -> str:
    try:
        return await tokens.make_token(request.app[DATABASE], actor(request), form.text("name"), scopes, end)
    except Refused as error:
        form.errors["name"] = str(error)
    return ""


def _end(form: Form, at: datetime, zone: tzinfo) -> datetime | None:
    """Read the last day. The token is valid until that day ends in `zone`. Without a day the token never expires."""
    if not form.text("last_day"):
        return None
    day = form.day("last_day", "Choose a day, or leave this empty.")
    if day is None or not at.year - 1 <= day.year <= at.year + MOST_YEARS:
        form.errors["last_day"] = f"Choose a day within the next {MOST_YEARS} years, or leave this empty."
        return None
    end = end_of(day, zone)
    if end <= at:
        form.errors["last_day"] = "This day is in the past; choose a later one, or leave this empty."
    return end


ROUTES = (
    Route("GET", "/tokens", token_list, Permission.MANAGE, "tokens"),
    Route("GET", "/tokens/new", new, Permission.MANAGE, "token-new"),
    Route("POST", "/tokens/new", make, Permission.MANAGE, "token-new"),
    Route("POST", "/tokens/revoke", revoke, Permission.MANAGE, "token-revoke"),
)
