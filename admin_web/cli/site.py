"""`dnc-admin serve`."""

import asyncio
import gc
import signal

import structlog
import typer

from admin_web.app import make_app_by_steady_clock
from admin_web.cli.shell import run
from admin_web.services.opening import require_own_tables
from admin_web.settings import AdminSettings
from admin_web.site.forwarding import warning_of
from compliance.http_limits import Limits
from compliance.http_server import serving
from compliance.listening import listen
from compliance.log import log_to_stderr

CONNECTIONS, PER_ADDRESS = 4000, 512
"""Maximum number of browsers' connections, in total and from one address. A browser opens up to six."""

log = structlog.get_logger()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve() -> None:
    """Serve the site until SIGTERM. While the database cannot be reached, its pages say so."""
    settings = AdminSettings.load()
    log_to_stderr(settings.log_level, settings.secrets)
    settings.require_private()
    socket = listen("DNC_WEB_BIND", settings.web_bind)
    if warning := warning_of(settings.web_bind, settings.proxies):
        log.warning("not encrypted", why=warning)
    socket.setblocking(False)
    limits = Limits(CONNECTIONS, PER_ADDRESS, trusted=settings.proxies)

    async def work() -> None:
        await require_own_tables(settings)
        stop, app = asyncio.Event(), make_app_by_steady_clock(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        # Exempt the objects that live as long as the process from garbage collection. A full collection of them
        # delayed pages by some 100 ms.
        gc.freeze()
        async with serving(app, socket, limits):
            await stop.wait()

    run(work())
