"""`dnc-admin serve`."""

import gc

import structlog
import typer
from aiohttp import web

from admin_web.app import make_app
from admin_web.settings import AdminSettings
from admin_web.site.forwarding import networks, warning_of
from compliance.listening import listen

log = structlog.get_logger()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve() -> None:
    """Serve the site until SIGTERM."""
    settings = AdminSettings.load()
    socket = listen("DNC_WEB_BIND", settings.web_bind)
    app = make_app(settings)
    if warning := warning_of(settings.web_bind, networks(settings.web_proxies)):
        log.warning("not encrypted", why=warning)
    # Exempt the objects that live as long as the process from garbage collection. A full collection of them delayed
    # pages by some 100 ms.
    gc.freeze()
    web.run_app(app, sock=socket, print=None, access_log=None)
