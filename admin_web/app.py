"""The site as an aiohttp application: its shared objects, its middlewares and its routes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime

from aiohttp import web

from admin_web import api
from admin_web.api.tools import ApiTools
from admin_web.documents import documents_of
from admin_web.pbx.pbx import Pbx
from admin_web.people.security_events import WINDOW, SecurityEvents
from admin_web.projection.clock_watch import ClockWatch
from admin_web.projection.projection import Projection
from admin_web.queries.enforcement import Enforcement
from admin_web.record.changes import Records, utc_now
from admin_web.record.database import Database, DatabaseUnavailable
from admin_web.record.schema import SchemaMismatch, require_current
from admin_web.record.steady_clock import SteadyClock
from admin_web.settings import AdminSettings
from admin_web.site import answers, pages, routing
from admin_web.site.forwarding import forwarding
from admin_web.site.guard import guard
from admin_web.site.keys import (
    DATABASE,
    DOCUMENTS,
    ENFORCEMENT,
    NOW,
    PBX,
    PROJECTION,
    RECORDS,
    SECURITY,
    SETTINGS,
    ZONE,
)
from admin_web.site.routes import ROUTES
from compliance.listening import INSTANCE_HEADER
from compliance.outage import Outage

OUTAGE = web.AppKey("outage", Outage)
"""The outage of the database, as monitors see it."""

LARGEST_FORM = 64 * 1024
"""Size limit of a form without a file, in bytes."""


def make_app(settings: AdminSettings, now: Callable[[], datetime] = utc_now) -> web.Application:
    """Build the site. It connects to nothing before it serves requests."""
    root = settings.web_prefix
    middlewares = [
        forwarding(settings.proxies, settings.hosts, root),
        answers.timed,
        answers.explained,
        guard,
    ]
    app = web.Application(client_max_size=LARGEST_FORM, middlewares=middlewares)
    _add_shared_objects(app, settings, now)
    app.on_response_prepare.append(answers.bear_headers)
    app.cleanup_ctx.extend((_closing, _counting))
    pages.set_up(app)
    routing.add(app, ROUTES, root)
    api.mount(app, _api_tools(app))
    for prefix in {"", root}:
        app.router.add_get(f"{prefix}/healthz", healthz)
        app.router.add_get(f"{prefix}/readyz", readyz)
    return app


def make_app_by_steady_clock(settings: AdminSettings) -> web.Application:
    """Build the site with a clock that is not misled when the machine's clock is set."""
    clock = SteadyClock()
    app = make_app(settings, clock.now)
    watch = ClockWatch(clock, app[DATABASE], app[PROJECTION].sides.store)

    async def watching(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(watch.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    app.cleanup_ctx.append(watching)
    return app


def _add_shared_objects(app: web.Application, settings: AdminSettings, now: Callable[[], datetime]) -> None:
    app[SETTINGS], app[NOW], app[ZONE] = settings, now, settings.zone
    app[DATABASE] = Database(settings.database)
    app[PROJECTION] = Projection(app[DATABASE], settings, now=now)
    app[SECURITY] = SecurityEvents(app[DATABASE], now)
    app[RECORDS] = Records(app[DATABASE], app[PROJECTION], now, settings.consent_rules)
    app[DOCUMENTS] = documents_of(settings)
    app[OUTAGE] = Outage("not ready", "ready again")
    app[PBX] = Pbx(settings)
    app[ENFORCEMENT] = Enforcement(app[PROJECTION].sides)


def _api_tools(app: web.Application) -> ApiTools:
    return ApiTools(
        app[DATABASE],
        app[PROJECTION],
        app[RECORDS],
        app[DOCUMENTS],
        settings=app[SETTINGS],
        now=app[NOW],
        security=app[SECURITY],
    )


async def _closing(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[PBX].close()
    await app[PROJECTION].close()
    await app[DATABASE].close()


async def _counting(app: web.Application) -> AsyncIterator[None]:
    """Record the security events that were only counted: each minute, and when the site stops."""

    async def each_minute() -> None:
        while True:
            await asyncio.sleep(WINDOW.total_seconds())
            await app[SECURITY].flush()

    task = asyncio.create_task(each_minute())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await app[SECURITY].flush()


async def healthz(_: web.Request) -> web.Response:
    """Answer that the site is running."""
    return web.Response(text="alive\n")


async def readyz(request: web.Request) -> web.Response:
    """Answer 200 if the database can be reached and has this version's tables, otherwise 503 with the reason."""
    instance = request.app[SETTINGS].instance
    headers = {INSTANCE_HEADER: instance} if instance else {}
    try:
        await require_current(request.app[DATABASE])
    except DatabaseUnavailable as error:
        request.app[OUTAGE].note(str(error))
        text = "record-unavailable: the database cannot be used. The log of the site says why\n"
        return web.Response(text=text, status=503, headers=headers)
    except SchemaMismatch as error:
        return web.Response(text=f"{error}\n", status=503, headers=headers)
    request.app[OUTAGE].end()
    return web.Response(text="ready\n", headers=headers)
