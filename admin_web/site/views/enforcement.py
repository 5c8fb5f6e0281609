"""The enforcement page: what is in force now, and the jobs rebuild, verify and canary."""

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.enforcement import last_jobs
from admin_web.services.jobs import JobUnderWay, ask
from admin_web.site.forms import EMPTY, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, ENFORCEMENT, NOW, RECORDS, SETTINGS
from admin_web.site.labels import BASES
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route

JOBS = {
    "rebuild": "The rebuild is queued; a worker starts it within a second.",
    "verify": "The comparison is queued; a worker starts it within a second.",
    "canary": "The test of the gates is queued; a worker starts it within a second.",
}
"""The kinds of job that this page can start, with the notice shown after starting one."""


async def overview(request: web.Request) -> web.StreamResponse:
    """Show the whole page."""
    return await _shown(request, "enforcement/page.html")


async def live(request: web.Request) -> web.StreamResponse:
    """Render only the part of the page that refreshes itself."""
    return await _shown(request, "enforcement/live.html")


async def ask_job(request: web.Request) -> web.StreamResponse:
    """Queue one of the jobs. Raises HTTPNotFound for another kind."""
    kind = request.match_info["kind"]
    if kind not in JOBS:
        raise web.HTTPNotFound
    return await _asked(request, kind)


async def drop(request: web.Request) -> web.StreamResponse:
    """Show which numbers a rebuild would drop, before an admin allows it."""
    found = await request.app[ENFORCEMENT].overview()
    return await render(request, "enforcement/drop.html", overview=found, form=EMPTY)


async def allow_drop(request: web.Request) -> web.StreamResponse:
    """Queue a rebuild from SQL that may shrink a list by any amount."""
    form = await read_form(request)
    if not form.ticked("checked"):
        form.errors["checked"] = "Tick the box once you have made sure that this is the right database."
        found = await request.app[ENFORCEMENT].overview()
        return await render(request, "enforcement/drop.html", status=422, overview=found, form=form)
    return await _asked(request, "rebuild", allow_drop=True)


async def _shown(request: web.Request, template: str) -> web.StreamResponse:
    app = request.app
    jobs = await last_jobs(app[DATABASE], tuple(JOBS))
    found = await app[ENFORCEMENT].overview()
    return await render(
        request,
        template,
        overview=found,
        jobs=jobs,
        lease_s=app[SETTINGS].lease_s,
        rules=app[RECORDS].rules,
        bases=BASES,
    )


async def _asked(request: web.Request, kind: str, **particulars: bool) -> web.StreamResponse:
    try:
        await ask(request.app[DATABASE], actor(request), kind, particulars, now=request.app[NOW])
    except JobUnderWay as error:
        return see_other(request, "enforcement", notice=Notice(str(error), "warn"))
    return see_other(request, "enforcement", notice=Notice(JOBS[kind]))


ROUTES = (
    Route("GET", "/enforcement", overview, Permission.SEE_ENFORCEMENT, "enforcement"),
    Route("GET", "/enforcement/live", live, Permission.SEE_ENFORCEMENT, "enforcement-live"),
    Route("GET", "/enforcement/drop", drop, Permission.REBUILD, "enforcement-drop"),
    Route("POST", "/enforcement/drop", allow_drop, Permission.REBUILD, "enforcement-drop"),
    Route("POST", "/enforcement/ask/{kind}", ask_job, Permission.REBUILD, "enforcement-ask"),
)
