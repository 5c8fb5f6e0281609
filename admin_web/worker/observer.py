"""The HTTP port of the worker for monitoring: `/healthz`, `/readyz` and `/metrics`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from admin_web.settings import AdminSettings
from admin_web.worker.loop_states import LoopStates
from admin_web.worker.metrics import Metrics
from compliance.http_limits import Limits
from compliance.http_server import serving
from compliance.listening import INSTANCE_HEADER, listen

SETTING = "DNC_WORKER_BIND"
LIMITS = Limits(connections=256, per_address=64, head_s=5.0)
"""A few monitors ask, one request at a time."""


def observer_app(loops: LoopStates, figures: Metrics, instance: str = "") -> web.Application:
    """Build the app over the states of the worker's loops, and its metrics."""
    headers = {INSTANCE_HEADER: instance} if instance else {}

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        doubts = sorted(loops.doubts())
        text = "\n".join(doubts or ["ready"]) + "\n"
        return web.Response(text=text, status=503 if doubts else 200, headers=headers)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=figures.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(client_max_size=1024)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


@asynccontextmanager
async def observing(settings: AdminSettings, loops: LoopStates, figures: Metrics) -> AsyncIterator[None]:
    """Serve on `worker_bind`, if it is set, until the context ends. Raises CannotListen."""
    if not settings.worker_bind:
        yield
        return
    listener = listen(SETTING, settings.worker_bind)
    listener.setblocking(False)
    async with serving(observer_app(loops, figures, settings.instance), listener, LIMITS):
        yield
