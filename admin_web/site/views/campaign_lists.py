"""Campaign lists: lists whose numbers are blocked only in calls of some campaigns."""

from aiohttp import web

from admin_web.people.permissions import Permission, allowed
from admin_web.queries.campaign_lists import all_campaign_lists, one_campaign_list
from admin_web.queries.recent_campaigns import LATEST_CALLS, recent_campaigns
from admin_web.services.campaign_lists import (
    UnfitCampaigns,
    add_campaign_list,
    add_to_list,
    set_campaigns,
)
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor, person
from admin_web.site.keys import DATABASE, RECORDS, SETTINGS
from admin_web.site.labels import national
from admin_web.site.pages import in_force, render, see_other
from admin_web.site.routing import Route
from compliance.numbers import InvalidNumber, normalize
from compliance.refusal import Refused, Unwritable
from compliance.separated import words

SOURCE = "list-page"


async def lists(request: web.Request) -> web.StreamResponse:
    """List the campaign lists."""
    return await _lists(request, EMPTY)


async def add(request: web.Request) -> web.StreamResponse:
    """Make a campaign list."""
    form = await read_form(request)
    name = form.text("name")
    try:
        standing = await add_campaign_list(request.app[RECORDS], actor(request), name, words(form.text("campaigns")))
    except Refused as error:
        form.errors["campaigns" if isinstance(error, UnfitCampaigns) else "name"] = str(error)
        return await _lists(request, form, 422)
    return see_other(request, "campaign-list", notice=in_force(f"{name} is made.", standing), list=name)


async def one(request: web.Request) -> web.StreamResponse:
    """Show one campaign list, with the forms for its campaigns and for a number."""
    return await _one(request, EMPTY)


async def change(request: web.Request) -> web.StreamResponse:
    """Set the campaigns of a list."""
    form, name = await read_form(request), request.match_info["list"]
    try:
        standing = await set_campaigns(request.app[RECORDS], actor(request), name, words(form.text("campaigns")))
    except UnfitCampaigns as error:
        form.errors["campaigns"] = str(error)
        return await _one(request, form, 422)
    return see_other(request, "campaign-list", notice=in_force("The campaigns are set.", standing), list=name)


async def put(request: web.Request) -> web.StreamResponse:
    """Put one number on a list."""
    form, name, settings = await read_form(request), request.match_info["list"], request.app[SETTINGS]
    try:
        number = normalize(form.text("number"), settings.region, settings.prefix)
        done = await add_to_list(
            request.app[RECORDS], actor(request), name, number, source=SOURCE, note=form.text("note")
        )
    except InvalidNumber as error:
        form.errors["number"] = f"This is not one telephone number. {error}"
    except Unwritable as error:
        form.errors["note"] = str(error)
    else:
        said = f"{national(number)} {'is' if done.added else 'was already'} on the campaign list {name}."
        return see_other(request, "lists-number", number=number, notice=in_force(said, done.standing))
    return await _one(request, form, 422)


async def _lists(request: web.Request, form: Form, status: int = 200) -> web.StreamResponse:
    found = await all_campaign_lists(request.app[DATABASE])
    sees_calls = allowed(person(request).role, Permission.SEE_CALLS)
    recent = await recent_campaigns(request.app[DATABASE], found) if sees_calls else ()
    return await render(
        request, "campaign_lists/list.html", status=status, lists=found, form=form, recent=recent, latest=LATEST_CALLS
    )


async def _one(request: web.Request, form: Form, status: int = 200) -> web.StreamResponse:
    found = await one_campaign_list(request.app[DATABASE], request.match_info["list"])
    return await render(request, "campaign_lists/page.html", status=status, one=found, form=form)


ONE = "/campaign-lists/{list:[a-z0-9-]{1,32}}"

ROUTES = (
    Route("GET", "/campaign-lists", lists, Permission.SEE_LISTS, "campaign-lists"),
    Route("POST", "/campaign-lists", add, Permission.SET_TERMS, "campaign-lists"),
    Route("GET", ONE, one, Permission.SEE_LISTS, "campaign-list"),
    Route("POST", ONE, change, Permission.SET_TERMS, "campaign-list"),
    Route("POST", f"{ONE}/numbers", put, Permission.SUPPRESS, "campaign-list-numbers"),
)
