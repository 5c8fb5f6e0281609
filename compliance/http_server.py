"""Serve an aiohttp application on a listening socket, with limits for its clients."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web, web_response
from aiohttp.typedefs import Handler, Middleware

from compliance.http_connection import Connection
from compliance.http_connections import Connections
from compliance.http_limits import SERVER, Limits
from compliance.open_files import allow_many_files, room_for

LINGER_S = 2.0
"""Seconds for which a connection stays open after the answer to a request whose body was not read, so that the client
can read the answer.
"""


@asynccontextmanager
async def serving(
    app: web.Application, listener: socket.socket, limits: Limits, *, backlog: int = 128, stop_s: float = 60.0
) -> AsyncIterator[None]:
    """Serve `app` until the context ends. Requests that are being answered then get `stop_s` seconds to finish."""
    allow_many_files()
    # The header of aiohttp names its version and that of Python. aiohttp has no setting for it, and it answers a
    # malformed request past all signals and middlewares.
    web_response.SERVER_SOFTWARE = SERVER  # type: ignore[attr-defined]
    runner = web.AppRunner(
        app,
        access_log=None,
        # A compressed body would be unpacked before anything has looked at its request.
        auto_decompress=False,
        keepalive_timeout=limits.idle_s,
        lingering_time=LINGER_S,
        shutdown_timeout=stop_s,
    )
    connections = Connections(replace(limits, connections=room_for(limits.connections)), lambda: _inner(runner))
    app.middlewares.insert(0, _attending(connections))
    await runner.setup()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(connections), sock=listener, backlog=backlog
    )
    try:
        yield
    finally:
        server.close()
        connections.close_heads()
        await runner.cleanup()


def _attending(connections: Connections) -> Middleware:
    """Return the middleware that notes which request is being answered. It must be the first one."""

    @web.middleware
    async def attended(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = connections.of(request.transport)
        if connection is None:
            return await handler(request)
        connection.begin(request.content)
        try:
            return await handler(request)
        finally:
            connection.end()

    return attended


def _inner(runner: web.AppRunner) -> asyncio.Protocol:
    if runner.server is None:
        raise RuntimeError("the server has not been set up")
    return runner.server()
