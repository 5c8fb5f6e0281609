"""Webhooks: list, add, show deliveries, test, turn off. Admins only."""

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.paging import read_key
from admin_web.queries.webhooks import delivery_page, webhook_list, webhook_of
from admin_web.services.webhooks import UnknownWebhook, add_webhook, disable_webhook, try_webhook
from admin_web.site.forms import EMPTY, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, RECORDS, SETTINGS
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from admin_web.webhooks.events import Event
from compliance.refusal import Unwritable

EVENTS = {
    Event.SUPPRESS: "A number was put on the Do-Not-Call list",
    Event.LIFT: "A number was lifted from it",
    Event.OVERRIDE: "A consent override was placed",
    Event.REVOKE: "An override was revoked",
    Event.EXPIRY: "An override expired",
}


async def webhooks(request: web.Request) -> web.StreamResponse:
    """List every webhook."""
    return await render(request, "webhooks/list.html", webhooks=await webhook_list(request.app[DATABASE]))


async def new(request: web.Request) -> web.StreamResponse:
    """Show the form for a new webhook."""
    return await render(request, "webhooks/new.html", form=EMPTY, events=EVENTS)


async def add(request: web.Request) -> web.StreamResponse:
    """Add a webhook. Only this response shows its secret."""
    form = await read_form(request)
    chosen = [event for event in Event if form.ticked(f"event-{event}")]
    if not chosen:
        form.errors["events"] = "Choose at least one event."
    else:
        try:
            given = actor(request), request.app[SETTINGS], form.text("url"), chosen
            webhook, secret = await add_webhook(request.app[RECORDS], *given)
            return await render(request, "webhooks/added.html", webhook=webhook, secret=secret, to=form.text("url"))
        except Unwritable as error:
            form.errors["url"] = str(error)
    return await render(request, "webhooks/new.html", status=422, form=form, events=EVENTS)


async def webhook(request: web.Request) -> web.StreamResponse:
    """Show one webhook and its deliveries."""
    webhook_id, after = _id(request), request.query.get("after", "")
    found = await webhook_of(request.app[DATABASE], webhook_id)
    if found is None:
        raise UnknownWebhook(f"There is no webhook {webhook_id}.")
    page = await delivery_page(request.app[DATABASE], webhook_id, read_key(after, int))
    return await render(request, "webhooks/page.html", webhook=found, page=page, at_start=not after)


async def attempt(request: web.Request) -> web.StreamResponse:
    """Send a test event."""
    await try_webhook(request.app[RECORDS], actor(request), _id(request))
    return _done(request, "A test event is on its way; the table below shows it and how it ended.")


async def disable(request: web.Request) -> web.StreamResponse:
    """Turn off a webhook and drop its pending deliveries."""
    await disable_webhook(request.app[RECORDS], actor(request), _id(request))
    return _done(request, "The webhook is off. Its past deliveries stay on record for thirty days.")


def _id(request: web.Request) -> int:
    return int(request.match_info["webhook"])


def _done(request: web.Request, sentence: str) -> web.StreamResponse:
    return see_other(request, "webhook", notice=Notice(sentence), webhook=request.match_info["webhook"])


ONE = "/webhooks/{webhook:[0-9]{1,9}}"

ROUTES = (
    Route("GET", "/webhooks", webhooks, Permission.MANAGE, "webhooks"),
    Route("GET", "/webhooks/new", new, Permission.MANAGE, "webhook-new"),
    Route("POST", "/webhooks/new", add, Permission.MANAGE, "webhook-new"),
    Route("GET", ONE, webhook, Permission.MANAGE, "webhook"),
    Route("POST", f"{ONE}/test", attempt, Permission.MANAGE, "webhook-test"),
    Route("POST", f"{ONE}/disable", disable, Permission.MANAGE, "webhook-disable"),
)
