"""The dial queue page."""

from datetime import datetime
from typing import cast

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries.paging import Page, read_key, spelled
from admin_web.queries.queue import QueuePosition, dial_queue
from admin_web.site.keys import DATABASE, NOW, PROJECTION
from admin_web.site.pages import render
from admin_web.site.routing import Route


async def queue(request: web.Request) -> web.StreamResponse:
    """Show which leads to call next, judged by the gate's rule at this moment."""
    key = read_key(request.query.get("after", ""), datetime, str)
    behind = QueuePosition(*cast("QueuePosition", key)) if key else None
    found = await dial_queue(request.app[DATABASE], request.app[PROJECTION], request.app[NOW](), behind=behind)
    page = Page(found.offers, spelled(found.behind) if found.behind else "")
    return await render(request, "queue/page.html", found=found, page=page, at_start=behind is None)


ROUTES = (Route("GET", "/queue", queue, Permission.CALL, "queue"),)
