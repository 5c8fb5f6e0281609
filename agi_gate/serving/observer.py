"""The second, small HTTP port: is the gate alive, is it ready, and what has it counted?"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from agi_gate.metrics import Snapshot, exposition
from agi_gate.serving.server import listen

SENTENCES = {
    "no-terms": "no-terms: Redis does not hold the terms of the registries that it names; the worker rebuilds it, "
    "or run dnc-admin rebuild"
}
"""Doubts that do not say by themselves what to do."""

Snapshots = Callable[[], list[Snapshot]]


def observer_app(snapshots: Snapshots, processes: int) -> web.Application:
    """Serve what `snapshots` gives; the gate is ready when `processes` of them live and every one is ready."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def readyz(_: web.Request) -> web.Response:
        live = [snapshot for snapshot in snapshots() if snapshot["live"]]
        doubts = {SENTENCES.get(str(snapshot["doubt"]), str(snapshot["doubt"])) for snapshot in live} - {""}
        if len(live) < processes:
            doubts.add(f"{len(live)} of {processes} processes serve")
        return web.Response(text="\n".join(sorted(doubts) or ["ready"]) + "\n", status=503 if doubts else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(snapshots()), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(client_max_size=1024)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


@asynccontextmanager
async def observing(bind: str, snapshots: Snapshots, processes: int) -> AsyncIterator[None]:
    """Answer on `HOST:PORT` while the context lasts. Raises CannotListen."""
    runner = web.AppRunner(observer_app(snapshots, processes), access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listen(bind)).start()
        yield
    finally:
        await runner.cleanup()
