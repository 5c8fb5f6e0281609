"""Answer GET requests for a few small pages without aiohttp, whose import would take a quarter of the start of a gate.

Each connection gets one answer and is closed. `http_connections.py` limits the connections and the time for a head.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from socket import socket
from typing import cast
from urllib.parse import urlsplit

import structlog

from compliance.http_connection import Connection
from compliance.http_connections import Connections
from compliance.http_limits import SERVER, Limits
from compliance.open_files import allow_many_files, room_for

TEXT = "text/plain; charset=utf-8"

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,2000}) HTTP/1\.[0-9]", re.ASCII)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Page:
    """An answer. `headers` are in addition to those that every answer has."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


Pages = Mapping[str, Callable[[], Page]]
"""For each path, the function that makes its page."""


@asynccontextmanager
async def serving_pages(pages: Pages, listener: socket, limits: Limits, *, backlog: int = 128) -> AsyncIterator[None]:
    """Serve `pages` until the context ends."""
    allow_many_files()
    limits = replace(limits, connections=room_for(limits.connections))
    connections = Connections(limits, lambda: OneAnswer(pages))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(connections), sock=listener, backlog=backlog)
    try:
        yield
    finally:
        server.close()
        connections.close_heads()


class OneAnswer(asyncio.Protocol):
    """Answers the first request of a connection. `Connection` passes its head on when it is complete, or too long."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer, and close the connection. Nothing that comes later is read."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.write(answer(data, self._pages))
            transport.close()


def answer(request: bytes, pages: Pages) -> bytes:
    """Return the whole answer to a request, of which at least the head is there."""
    line = _REQUEST_LINE.fullmatch(request.partition(b"\n")[0].rstrip(b"\r"))
    if line is None:
        return _written(_plain(HTTPStatus.BAD_REQUEST))
    method, target = (word.decode("ascii") for word in line.groups())
    page = _page(method, target, pages)
    return _written(page, with_body=method != "HEAD")


def _page(method: str, target: str, pages: Pages) -> Page:
    try:
        make = pages.get(urlsplit(target).path)
    except ValueError:  # urlsplit refuses some brackets.
        return _plain(HTTPStatus.BAD_REQUEST)
    if make is None:
        return _plain(HTTPStatus.NOT_FOUND)
    if method not in {"GET", "HEAD"}:
        return _plain(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
    try:
        return make()
    except Exception:  # A fault in a page must not end the gate.
        log.exception("page failed", path=target)
        return _plain(HTTPStatus.INTERNAL_SERVER_ERROR)


def _plain(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Page:
    return Page(f"{status.value} {status.phrase}\n".encode(), status, headers=headers or {})


def _written(page: Page, *, with_body: bool = True) -> bytes:
    headers = {
        "Content-Type": page.content_type,
        "Content-Length": str(len(page.body)),
        "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
        "Server": SERVER,
        "Connection": "close",
        **page.headers,
    }
    lines = [
        f"HTTP/1.1 {page.status.value} {page.status.phrase}",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (page.body if with_body else b"")
