"""The small HTTP server of the gate: one answer to each connection, whatever is sent to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

import pytest
from structlog.testing import capture_logs

from compliance.http_limits import Limits
from compliance.http_pages import Page, answer, serving_pages


def broken() -> Page:
    raise RuntimeError("a bug")


PAGES = {
    "/healthz": lambda: Page(b"alive\n"),
    "/readyz": lambda: Page(b"no\n", HTTPStatus.SERVICE_UNAVAILABLE, headers={"DNC-Instance": "abc"}),
    "/broken": broken,
}


def answered(line: str, more: str = "\r\nHost: x\r\n\r\n") -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Return the status line, the headers and the body of an answer."""
    head, _, body = answer(f"{line}{more}".encode("latin-1"), PAGES).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return first, dict(line.split(b": ", 1) for line in lines), body


@pytest.mark.parametrize(
    "line", ["GET /healthz HTTP/1.1", "GET /healthz?a=b HTTP/1.0", "GET http://h/healthz HTTP/1.1"]
)
def test_a_page_is_found_by_its_path(line: str):
    first, headers, body = answered(line)
    assert (first, body) == (b"HTTP/1.1 200 OK", b"alive\n")
    assert headers[b"Content-Length"] == b"6"
    assert headers[b"Content-Type"] == b"text/plain; charset=utf-8"
    assert (headers[b"Connection"], headers[b"Server"]) == (b"close", b"dnc-gate")
    assert headers[b"Date"].endswith(b" GMT")


def test_a_page_has_its_own_status_and_headers():
    first, headers, body = answered("GET /readyz HTTP/1.1")
    assert (first, headers[b"DNC-Instance"], body) == (b"HTTP/1.1 503 Service Unavailable", b"abc", b"no\n")


def test_head_gets_the_headers_only():
    first, headers, body = answered("HEAD /healthz HTTP/1.1")
    assert (first, headers[b"Content-Length"], body) == (b"HTTP/1.1 200 OK", b"6", b"")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /nothing HTTP/1.1", 404),
        ("GET * HTTP/1.1", 404),
        ("POST /healthz HTTP/1.1", 405),
        ("GET /healthz", 400),
        ("GET  /healthz HTTP/1.1", 400),
        ("get /healthz HTTP/1.1", 400),
        ("GET /healthz HTTP/2.0", 400),
        ("GET //[ HTTP/1.1", 400),
        ("GET /\xe9 HTTP/1.1", 400),
        (f"GET /{'a' * 3000} HTTP/1.1", 400),
        ("\x16\x03\x01\x02", 400),
        ("", 400),
    ],
)
def test_what_is_no_request_for_a_page_is_refused(line: str, status: int):
    first, _, body = answered(line)
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert body.startswith(b"%d " % status)


def test_a_fault_in_a_page_is_a_500_and_is_logged():
    with capture_logs() as logs:
        first, _, body = answered("GET /broken HTTP/1.1")
    assert (first, body) == (b"HTTP/1.1 500 Internal Server Error", b"500 Internal Server Error\n")
    assert [line["event"] for line in logs] == ["page failed"]


@asynccontextmanager
async def served(**limits: float) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    async with serving_pages(PAGES, listener, Limits(connections=100, per_address=100, **limits)):
        yield listener.getsockname()[1]


async def test_a_request_in_pieces_is_answered_once_and_the_connection_is_closed():
    async with served() as port, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in (b"GET /hea", b"lthz HTTP/1.1\r\n", b"\r\nGET /readyz HTTP/1.1\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        said = await reader.read()
        writer.close()
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.endswith(b"alive\n")


async def test_a_client_that_sends_half_a_request_is_closed():
    async with served(head_s=0.05) as port, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        with capture_logs() as logs:
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
    assert [line["slow-head"] for line in logs if line["event"] == "connections closed"] == [1]
