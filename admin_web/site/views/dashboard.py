"""The first page: how dials went, what waits for a person, and whether all that is recorded is in force."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from admin_web.people.permissions import Permission, allowed
from admin_web.queries.dashboard import Span, dials_of, history, zone_of
from admin_web.queries.monitor import counts
from admin_web.site.guard import person
from admin_web.site.keys import DATABASE, ENFORCEMENT, NOW
from admin_web.site.pages import render
from admin_web.site.routing import Route

ZONE_COOKIE = "dnc_zone"
"""Bears the name of the reader's time zone, which site.js knows from the browser."""


async def dashboard(request: web.Request) -> web.StreamResponse:
    """Show each panel to those who may see what is in it; an agent sees their own dials."""
    app, who, at, span = request.app, person(request), request.app[NOW](), _span(request)
    shown: dict[str, Any] = {"history": None, "own": None, "overrides": None, "overview": None}
    zone_name = request.query.get("zone", request.cookies.get(ZONE_COOKIE, ""))
    zone = zone_of(zone_name)
    if allowed(who.role, Permission.SEE_CALLS):
        shown["history"] = await history(app[DATABASE], span, at, zone)
    else:
        shown["own"] = await dials_of(app[DATABASE], who.name, at - timedelta(hours=span.hours))
    if allowed(who.role, Permission.SEE_OVERRIDES):
        shown["overrides"] = await counts(app[DATABASE], at)
    if allowed(who.role, Permission.SEE_ENFORCEMENT):
        shown["overview"] = await app[ENFORCEMENT].overview()
    return await render(request, "dashboard/page.html", span=span, spans=Span, zone=str(zone), **shown)


def _span(request: web.Request) -> Span:
    """Read how far back to look; a day for anything else."""
    wanted = request.query.get("span", "")
    return Span(wanted) if wanted in set(Span) else Span.DAY


ROUTES = (Route("GET", "/", dashboard, Permission.SIGNED_IN, "dashboard"),)
