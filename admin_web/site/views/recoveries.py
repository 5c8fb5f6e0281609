"""Recoveries: the differences between Redis and a database that had lost changes, for an admin to look at."""

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.recoveries import recoveries
from admin_web.services.recovery import NothingToSee, acknowledge_recovery
from admin_web.site.forms import read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW, RECORDS
from admin_web.site.labels import BASES
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from admin_web.site.subjects import id_in


async def page(request: web.Request) -> web.StreamResponse:
    """Show the recoveries, first those that nobody has looked at."""
    found = await recoveries(request.app[DATABASE], request.app[NOW]())
    return await render(request, "monitor/recoveries.html", recoveries=found, bases=BASES)


async def acknowledge(request: web.Request) -> web.StreamResponse:
    """Record that an admin has looked at the differences of a recovery."""
    await read_form(request)
    recovery = request.match_info["recovery"]
    try:
        await acknowledge_recovery(request.app[RECORDS], actor(request), id_in(recovery) or 0)
    except NothingToSee as error:
        return see_other(request, "recoveries", notice=Notice(str(error), "warn"))
    return see_other(
        request, "recoveries", notice=Notice(f"It is on record that you have looked at recovery {recovery}.")
    )


ROUTES = (
    Route("GET", "/recoveries", page, Permission.SEE_OVERRIDES, "recoveries"),
    Route("POST", "/recoveries/{recovery}/seen", acknowledge, Permission.REVIEW, "recoveries-seen"),
)
