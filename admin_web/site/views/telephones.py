"""Telephones: whose telephone an endpoint of the PBX is. Admins only."""

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.paging import read_key
from admin_web.queries.telephones import known_people, telephone_page, unassigned_telephones
from admin_web.services.telephones import UnknownTelephone, assign_telephone, end_telephone
from admin_web.site.forms import Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW, RECORDS
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from compliance.refusal import Unwritable


async def telephones(request: web.Request) -> web.StreamResponse:
    """List telephones with their persons, and those that call without one."""
    return await _shown(request, Form(request.query))


async def assign(request: web.Request) -> web.StreamResponse:
    """Assign a telephone to a person."""
    form = await read_form(request)
    channel, person, earlier = form.text("channel"), form.text("person"), form.ticked("earlier")
    try:
        await assign_telephone(request.app[RECORDS], actor(request), channel, person, earlier=earlier)
    except Unwritable as error:
        form.errors["person" if "person" in str(error) else "channel"] = str(error)
        return await _shown(request, form, 422)
    said = "Its earlier calls and its calls" if earlier else "Its calls"
    return see_other(request, "telephones", notice=Notice(f"{said} from now on are shown as made by {person}."))


async def end(request: web.Request) -> web.StreamResponse:
    """End the assignment of a telephone."""
    channel = (await read_form(request)).text("channel")
    try:
        await end_telephone(request.app[RECORDS], actor(request), channel)
    except UnknownTelephone as error:
        return see_other(request, "telephones", notice=Notice(str(error), "bad"))
    said = f"{channel} is nobody's telephone from now on. Its earlier calls keep their caller."
    return see_other(request, "telephones", notice=Notice(said))


async def _shown(request: web.Request, form: Form, status: int = 200) -> web.StreamResponse:
    database, after = request.app[DATABASE], request.query.get("after", "")
    return await render(
        request,
        "telephones/list.html",
        status=status,
        form=form,
        page=await telephone_page(database, read_key(after, str, int)),
        unassigned=await unassigned_telephones(database, request.app[NOW]()),
        people=await known_people(database),
        at_start=not after,
    )


ROUTES = (
    Route("GET", "/telephones", telephones, Permission.MANAGE, "telephones"),
    Route("POST", "/telephones", assign, Permission.MANAGE, "telephones"),
    Route("POST", "/telephones/end", end, Permission.MANAGE, "telephones-end"),
)
