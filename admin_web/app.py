"""The site as an aiohttp application. So far it tells a supervisor whether it lives and whether it can work."""

from collections.abc import AsyncIterator

from aiohttp import web

from admin_web.database import Database, DatabaseUnavailable
from admin_web.schema import SchemaMismatch, require_current
from admin_web.settings import AdminSettings

DATABASE = web.AppKey("database", Database)


def make_app(settings: AdminSettings) -> web.Application:
    """Wire the site. Nothing is opened before it starts."""
    app = web.Application(client_max_size=64 * 1024)
    app[DATABASE] = Database(settings.database)
    app.cleanup_ctx.append(_database)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


async def _database(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[DATABASE].close()


async def healthz(_: web.Request) -> web.Response:
    """Say that the site lives."""
    return web.Response(text="alive\n")


async def readyz(request: web.Request) -> web.Response:
    """Say whether the record can be reached and has this version's tables."""
    try:
        await require_current(request.app[DATABASE])
    except (DatabaseUnavailable, SchemaMismatch) as error:
        return web.Response(text=f"{error}\n", status=503)
    return web.Response(text="ready\n")
