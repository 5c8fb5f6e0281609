"""`dnc-admin serve`."""

import errno
import gc

import typer
from aiohttp import web

from admin_web.app import make_app
from admin_web.cli.shell import give_up
from admin_web.settings import AdminSettings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve() -> None:
    """Serve the site until SIGTERM."""
    settings = AdminSettings.load()
    host, _, port = settings.web_bind.rpartition(":")
    app = make_app(settings)
    # Exempt the objects that live as long as the process from garbage collection. A full collection of them delayed
    # pages by some 100 ms.
    gc.freeze()
    try:
        web.run_app(app, host=host.strip("[]"), port=int(port), print=None, access_log=None)
    except OSError as error:
        give_up(f"DNC_WEB_BIND: cannot listen on {settings.web_bind}: {errno.errorcode.get(error.errno or 0, error)}")
