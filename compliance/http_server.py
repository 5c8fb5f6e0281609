"""Serve an aiohttp application on a listening socket, with limits for its clients."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web, web_response

from compliance.http_connection import Connection
from compliance.http_connections import Connections
from compliance.http_limits import Limits

LINGER_S = 2.0
"""Seconds for which a connection stays open after the answer to a request whose body was not read, so that the client
can read the answer.
"""

OTHER_FILES = 256
"""Files that a program needs besides the connections of its clients."""

LEAST_CONNECTIONS = 64

SERVER = "dnc-gate"
"""The value of the Server header. aiohttp's own one names its version and that of Python."""


@asynccontextmanager
async def serving(
    app: web.Application, listener: socket.socket, limits: Limits, *, backlog: int = 128, stop_s: float = 60.0
) -> AsyncIterator[None]:
    """Serve `app` until the context ends. Requests that are being answered then get `stop_s` seconds to finish."""
    allow_many_files()
    # aiohttp has no setting for it, and it answers a malformed request past all signals and middlewares.
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
    app.middlewares.insert(0, connections.middleware())
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


def _inner(runner: web.AppRunner) -> asyncio.Protocol:
    if runner.server is None:
        raise RuntimeError("the server has not been set up")
    return runner.server()


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard limit."""
    # The usual soft limit of 1,024 is below what a busy office, or a busy PBX, may need.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for(connections: int) -> int:
    """Return how many of some connections leave enough files for everything else that the program opens."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        connections if soft == resource.RLIM_INFINITY else min(connections, max(LEAST_CONNECTIONS, soft - OTHER_FILES))
    )
