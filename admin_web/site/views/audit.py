"""Audit events: who did what, when, from where, to which subject."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from operator import itemgetter

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.audit import AuditFilter, AuditPosition, AuditSeen, event_page, every_event
from admin_web.queries.paging import Page, read_key
from admin_web.site.clock import stamp, zone_of
from admin_web.site.csv_export import stream_csv
from admin_web.site.forms import Form
from admin_web.site.keys import DATABASE, SETTINGS
from admin_web.site.labels import ACTIONS, SUBJECTS
from admin_web.site.pages import render
from admin_web.site.routing import Route
from admin_web.site.views import filters

FILTERS = ("by", "action", "kind", "subject", "since", "until")
COLUMNS = ("at", "by", "from", "action", "kind", "subject", "particulars")

NOTHING: Page[AuditSeen] = Page(())


async def events(request: web.Request) -> web.StreamResponse:
    """Show the events that match the filter, one page at a time."""
    form = Form(request.query)
    sought = _sought(request, form)
    key = read_key(request.query.get("after", ""), datetime, int)
    behind = AuditPosition(*key) if key else None  # type: ignore[arg-type]
    return await render(
        request,
        "audit/events.html",
        status=422 if form.errors else 200,
        form=form,
        kinds=SUBJECTS.items(),
        actions=_actions(form.text("action")),
        page=NOTHING if form.errors else await event_page(request.app[DATABASE], sought, behind),
        query={name: form.text(name)[: filters.LONGEST] for name in FILTERS if form.text(name)},
        at_start=behind is None,
    )


async def export(request: web.Request) -> web.StreamResponse:
    """Export all events that match the filter, as CSV."""
    form = Form(request.query)
    sought = _sought(request, form)
    for error in form.errors.values():
        raise web.HTTPBadRequest(text=error)
    rows = every_event(request.app[DATABASE], sought)
    return await stream_csv(request, f"audit-events-{stamp(request)}.csv", COLUMNS, _cells(rows))


def _sought(request: web.Request, form: Form) -> AuditFilter:
    """Read the filters. Record an error in the form for one that cannot be read."""
    kind, subject = filters.short(form, "kind"), filters.short(form, "subject")
    if subject and kind not in SUBJECTS:
        form.errors["subject"] = "Choose under “Done to a” what it is: a lead, a number, an override …"
    elif subject and kind == "number":
        subject = filters.number(form, "subject", request.app[SETTINGS].region) or ""
    return AuditFilter(
        by=filters.short(form, "by"),
        action=filters.short(form, "action"),
        kind=kind if subject else "",
        subject=subject,
        since=filters.moment(form, "since", zone_of(request)),
        until=filters.moment(form, "until", zone_of(request), end=True),
    )


def _actions(chosen: str) -> list[tuple[str, str]]:
    """Return the choices of the action filter, by label; a link may have chosen one that is not in the table."""
    known = {slug: f"{label} ({slug})" for slug, label in ACTIONS.items()}
    return sorted((known | {chosen: known.get(chosen, chosen)} if chosen else known).items(), key=itemgetter(1))


async def _cells(events: AsyncIterator[AuditSeen]) -> AsyncIterator[tuple[object, ...]]:
    async for event in events:
        particulars = json.dumps(event.particulars, ensure_ascii=False, sort_keys=True)
        yield event.at, event.by, event.address, event.action, event.kind, event.subject, particulars


ROUTES = (
    Route("GET", "/audit", events, Permission.SEE_AUDIT, "audit"),
    Route("GET", "/audit/export", export, Permission.EXPORT, "audit-export"),
)
