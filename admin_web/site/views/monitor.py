"""The Compliance Monitor: the table of overrides, one override, its review, confirmation, revocation and document."""

from collections.abc import AsyncIterator
from datetime import datetime

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.call_filter import CallFilter
from admin_web.queries.calls import CallPosition, CallSeen, call_page
from admin_web.queries.monitor import (
    OverrideRow,
    OverrideState,
    WholeOverride,
    counts,
    every_override,
    override_page,
    people,
)
from admin_web.queries.monitor_filter import MonitorFilter, Shown, key_of, searching
from admin_web.queries.paging import Page, read_key
from admin_web.queries.users import another_admin
from admin_web.services.keeping import NothingToKeep, RequestNotSeen, keep_override
from admin_web.services.revocation import (
    NotHeld,
    NotReviewed,
    OverrideExpired,
    OwnOverride,
    confirm_override,
    review_override,
    revoke_override,
)
from admin_web.site.clock import stamp, zone_of
from admin_web.site.csv_export import stream_csv
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, DOCUMENTS, NOW, RECORDS, SETTINGS
from admin_web.site.labels import BASES
from admin_web.site.labels import actor as actor_label
from admin_web.site.pages import in_force, render, see_other
from admin_web.site.routing import Route
from admin_web.site.subjects import id_in, override_of
from admin_web.site.views import filters
from admin_web.site.views.monitor_sentences import reviewed_already, since_then, what_follows
from compliance.consent import Basis
from compliance.openable import RENEWABLE
from compliance.refusal import Unwritable

PARTS = {
    Shown.ACTIVE: "Active",
    Shown.UNREVIEWED: "To review",
    Shown.CONTESTED: "Open although asked not to be called since",
    Shown.ENDS_30: "End within 30 days",
    Shown.ENDS_7: "Within 7 days",
    Shown.ENDS_1: "Within 1 day",
    Shown.REVOKED: "Revoked",
    Shown.EXPIRED: "Expired",
    Shown.ALL: "All",
}
COLUMNS = (
    "override", "state", "lead", "lead_name", "number", "basis", "consented_on", "document", "placed_at", "placed_by",
    "expires_at", "reviewed_at", "reviewed_by", "revoked_at", "revoked_by", "revoke_reason", "asked_on", "listed_at",
)  # fmt: skip
FILTERS = ("shown", "q", "person", "basis", "since", "until")


async def table(request: web.Request) -> web.StreamResponse:
    """Show the overrides that match the filter, one page at a time."""
    database, at, form = request.app[DATABASE], request.app[NOW](), Form(request.query)
    sought, after = _sought(request, form), request.query.get("after", "")
    return await render(
        request,
        "monitor/table.html",
        form=form,
        sought=sought,
        parts=PARTS,
        bases=BASES,
        people=[(name, actor_label(name)) for name in await people(database)],
        counts=await counts(database, at),
        page=await override_page(database, sought, at, key_of(sought, after)),
        query={name: value for name in FILTERS if (value := form.text(name))},
        at_start=not after,
    )


async def export(request: web.Request) -> web.StreamResponse:
    """Export all overrides that match the filter, as CSV. Raises HTTPBadRequest for one that cannot be read."""
    at, form = request.app[NOW](), Form(request.query)
    sought = _sought(request, form)
    for error in form.errors.values():
        raise web.HTTPBadRequest(text=error)
    rows = every_override(request.app[DATABASE], sought, at)
    return await stream_csv(request, f"overrides-{stamp(request)}.csv", COLUMNS, _cells(rows, at))


async def page(request: web.Request) -> web.StreamResponse:
    """Show everything about one override."""
    return await _page(request, await override_of(request))


async def review(request: web.Request) -> web.StreamResponse:
    """Record that an admin has reviewed an override and its document."""
    form, whole = await read_form(request), await override_of(request)
    if stale := _stale(form, whole, request.app[NOW]()):
        return await _page(request, whole, form, stale)
    try:
        done = await review_override(request.app[RECORDS], actor(request), whole.row.id)
    except OwnOverride as error:
        return await _page(request, whole, form, str(error))
    if done.already:
        whole = await override_of(request)
        return await _page(request, whole, form, reviewed_already(whole))
    still = " It opens nothing until an admin confirms it." if done.held else ""
    notice = in_force(f"Override {whole.row.id} is marked as reviewed.{still}", done.standing)
    return see_other(request, "monitor-override", notice=notice, override=str(whole.row.id))


async def keep(request: web.Request) -> web.StreamResponse:
    """Keep an override although somebody on its number has asked not to be called since."""
    form, whole = await read_form(request), await override_of(request)
    reason, seen = form.text("keep_reason"), _seen(form)
    try:
        done = await keep_override(request.app[RECORDS], actor(request), whole.row.id, reason=reason, seen=seen)
    except Unwritable as error:
        form.errors["keep_reason"] = str(error)
        return await _page(request, whole, form, status=422)
    except (NothingToKeep, RequestNotSeen) as error:
        return await _page(request, await override_of(request), form, str(error))
    said = f"Override {done.override_id} is kept{' and opens its lead again' if done.reopened else ''}."
    return see_other(request, "monitor-override", notice=in_force(said, done.standing), override=str(done.override_id))


async def confirm(request: web.Request) -> web.StreamResponse:
    """Let an override open its lead that a recovery has held."""
    form, whole = await read_form(request), await override_of(request)
    reason = form.text("confirm_reason")
    try:
        standing = await confirm_override(request.app[RECORDS], actor(request), whole.row.id, reason=reason)
    except Unwritable as error:
        form.errors["confirm_reason"] = str(error)
        return await _page(request, whole, form, status=422)
    except (NotHeld, NotReviewed) as error:
        return await _page(request, await override_of(request), form, str(error))
    said = f"Override {whole.row.id} is confirmed and opens its lead."
    return see_other(request, "monitor-override", notice=in_force(said, standing), override=str(whole.row.id))


async def revoke(request: web.Request) -> web.StreamResponse:
    """End an override at once."""
    form, whole = await read_form(request), await override_of(request)
    if stale := _stale(form, whole, request.app[NOW]()):
        return await _page(request, whole, form, stale)
    try:
        done = await revoke_override(request.app[RECORDS], actor(request), whole.row.id, reason=form.text("reason"))
    except Unwritable as error:
        form.errors["reason"] = str(error)
        return await _page(request, whole, form, status=422)
    except OverrideExpired as error:
        return await _page(request, whole, form, str(error))
    if done.already:
        whole = await override_of(request)
        return await _page(request, whole, form, since_then(whole, request.app[NOW]()))
    said = f"Override {done.override_id} is revoked. {what_follows(whole)}"
    return see_other(request, "monitor-override", notice=in_force(said, done.standing), override=str(done.override_id))


async def _page(
    request: web.Request, whole: WholeOverride, form: Form = EMPTY, trouble: str = "", status: int = 0
) -> web.Response:
    """Render one override; `trouble` says why the requested action was not carried out."""
    at, after, settings = request.app[NOW](), request.query.get("after", ""), request.app[SETTINGS]
    state = whole.row.state(at)
    return await render(
        request,
        "monitor/override.html",
        status=status or (409 if trouble else 200),
        whole=whole,
        extent=await request.app[DOCUMENTS].extent(whole.document.sha256, whole.document.media_type),
        row=whole.row,
        second_admin=await another_admin(request.app[DATABASE], actor(request).name),
        state=state,
        calls=await _calls(request, whole.row.id, after),
        at_start=not after,
        form=form,
        trouble=trouble,
        bases=BASES,
        follows=what_follows(whole),
        hangs_up=settings.hang_up_on_revocation and bool(settings.ami_address),
        renewable=state is OverrideState.ACTIVE and whole.row.expires_at <= at + RENEWABLE,
    )


async def _calls(request: web.Request, override_id: int, after: str) -> Page[CallSeen]:
    """Return a page of the calls made under an override, latest first."""
    key = read_key(after, datetime, int, str)
    place = CallPosition(*key) if key else None  # type: ignore[arg-type]
    return await call_page(request.app[DATABASE], CallFilter(override=str(override_id)), place)


def _seen(form: Form) -> int | None:
    """Return the id of the request that the form showed; None if it showed none."""
    return id_in(form.text("request"))


def _stale(form: Form, whole: WholeOverride, at: datetime) -> str:
    """Return what has changed since the form was shown; empty when nothing has."""
    return "" if form.text("state") in {"", whole.row.state(at)} else since_then(whole, at)


def _sought(request: web.Request, form: Form) -> MonitorFilter:
    """Read the filters. Record an error in the form for a day that cannot be read; ignore other unreadable ones."""
    shown, basis = form.text("shown"), form.text("basis")
    settings, zone = request.app[SETTINGS], zone_of(request)
    sought = MonitorFilter(
        shown=Shown(shown) if shown in set(Shown) else Shown.ACTIVE,
        person=form.text("person"),
        basis=Basis(basis) if basis in set(Basis) else None,
        since=filters.moment(form, "since", zone),
        until=filters.moment(form, "until", zone, end=True),
    )
    return searching(sought, form.text("q"), settings.region)


async def _cells(rows: AsyncIterator[OverrideRow], at: datetime) -> AsyncIterator[list[object]]:
    async for row in rows:
        yield [
            row.id, row.state(at), row.lead, row.lead_name, row.number, row.basis, row.consented_on, row.document,
            row.placed_at, row.placed_by, row.expires_at, row.reviewed_at, row.reviewed_by, row.revoked_at,
            row.revoked_by, row.revoke_reason, row.asked_on, row.listed_at,
        ]  # fmt: skip


ONE = "/monitor/{override}"

ROUTES = (
    Route("GET", "/monitor", table, Permission.SEE_OVERRIDES, "monitor"),
    Route("GET", "/monitor/export", export, Permission.EXPORT, "monitor-export"),
    Route("GET", ONE, page, Permission.SEE_OVERRIDES, "monitor-override"),
    Route("POST", f"{ONE}/review", review, Permission.REVIEW, "monitor-review"),
    Route("POST", f"{ONE}/keep", keep, Permission.REVIEW, "monitor-keep"),
    Route("POST", f"{ONE}/confirm", confirm, Permission.REVIEW, "monitor-confirm"),
    Route("POST", f"{ONE}/revoke", revoke, Permission.REVIEW, "monitor-revoke"),
)
