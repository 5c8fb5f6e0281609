"""The dashboard: dials over time, overrides that need attention, and whether all changes are in force."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from admin_web.people.permissions import Permission, allowed
from admin_web.queries.dashboard import Span, dials_of, history
from admin_web.queries.monitor import counts
from admin_web.site.clock import zone_of
from admin_web.site.guard import person
from admin_web.site.keys import DATABASE, ENFORCEMENT, NOW
from admin_web.site.pages import render
from admin_web.site.routing import Route


async def dashboard(request: web.Request) -> web.StreamResponse:
    """Show the panels that the person's role may see. An agent sees only their own dials."""
    app, who, at, span = request.app, person(request), request.app[NOW](), _span(request)
    shown: dict[str, Any] = {"history": None, "own": None, "overrides": None, "overview": None}
    if allowed(who.role, Permission.SEE_CALLS):
        shown["history"] = await history(app[DATABASE], span, at, zone_of(request))
    else:
        shown["own"] = await dials_of(app[DATABASE], who.name, at - timedelta(hours=span.hours))
    if allowed(who.role, Permission.SEE_OVERRIDES):
        shown["overrides"] = await counts(app[DATABASE], at)
    if allowed(who.role, Permission.SEE_ENFORCEMENT):
        shown["overview"] = await app[ENFORCEMENT].overview()
    return await render(request, "dashboard/page.html", span=span, spans=Span, **shown)


def _span(request: web.Request) -> Span:
    """Read the span of time to show; one day by default."""
    wanted = request.query.get("span", "")
    return Span(wanted) if wanted in set(Span) else Span.DAY


ROUTES = (Route("GET", "/", dashboard, Permission.SIGNED_IN, "dashboard"),)
