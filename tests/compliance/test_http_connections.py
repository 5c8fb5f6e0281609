"""The connections of an HTTP server: a client that takes too long, or too many places, makes room for others."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from compliance import http_connections
from compliance.addresses import network_of
from compliance.http_limits import Limits
from compliance.http_server import serving
from compliance.open_files import LEAST_CONNECTIONS, room_for

HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: "
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
PART = 60_000
ENDLESS = {"head_s": 600.0, "stall_s": 600.0, "idle_s": 600.0}
"""Deadlines that no test reaches. A test of the places must not pass because of a deadline."""

MANY = Limits(**ENDLESS, connections=100, per_address=100)
PATIENCE_S = 50.0
"""Maximum seconds for what must happen, on a busy machine. It is below the default of `Limits.stall_s`."""


class Served:
    """An application on a port of loopback."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: list[Client] = []
        self.begun = 0

    async def until_begun(self, count: int) -> None:
        """Wait until this many requests of `/read` and `/busy` have reached the application."""
        await until(lambda: self.begun >= count)

    async def open(self, said: bytes = b"", host: str = "127.0.0.1") -> "Client":
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(host, 0))
        writer.write(said)
        await writer.drain()
        self.clients.append(Client(reader, writer))
        return self.clients[-1]

    async def answers(self) -> bool:
        client = await self.open(WHOLE)
        answer = await client.line()
        client.close()
        return answer == b"HTTP/1.1 200 OK\r\n"


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readline()

    async def closed(self, within_s: float = PATIENCE_S) -> bool:
        """Return whether the server closes the connection in time."""
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def close(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def served(limits: Limits, buffer: int = 0) -> AsyncIterator[Served]:
    app, held = web.Application(), asyncio.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    if buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    listener.setblocking(False)
    site = Served(listener.getsockname()[1])

    async def here(_: web.Request) -> web.Response:
        return web.Response(text="here")

    async def read(request: web.Request) -> web.Response:
        site.begun += 1
        return web.Response(text=str(len(await request.read())))

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 30_000_000)

    async def part(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * PART)

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while not held.is_set():
            await answer.write(b"x" * 200_000)
        return answer

    async def busy(_: web.Request) -> web.Response:
        site.begun += 1
        await held.wait()
        return web.Response()

    app.router.add_route("*", "/", here)
    app.router.add_post("/read", read)
    app.router.add_get("/large", large)
    app.router.add_get("/part", part)
    app.router.add_get("/stream", stream)
    app.router.add_get("/busy", busy)
    async with serving(app, listener, limits, stop_s=0.1):
        try:
            yield site
        finally:
            held.set()
            for client in site.clients:
                client.close()
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connections, "SWEEP_S", 0.02)


LATE = {
    "silent": (Limits(9, 9, head_s=0.2), b""),
    "half-a-head": (Limits(9, 9, head_s=0.2), HALF),
    # The bytes behind a request reach aiohttp with it, so this client has the longer deadline of an idle one.
    "half-a-head-behind-a-request": (Limits(9, 9, head_s=0.2, idle_s=0.3), WHOLE + HALF),
    "no-next-request": (Limits(9, 9, idle_s=0.2), WHOLE),
    "half-a-body": (Limits(9, 9, stall_s=0.2), POST % 5 + b"abc"),
}


@pytest.mark.parametrize(("limits", "said"), LATE.values(), ids=LATE)
async def test_a_client_that_takes_too_long_is_disconnected(limits: Limits, said: bytes):
    async with served(limits) as site:
        assert await (await site.open(said)).closed()


async def test_a_client_that_does_not_read_its_answer_is_disconnected():
    with capture_logs() as logs:
        async with served(Limits(9, 9, stall_s=0.2)) as site:
            client = await site.open(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            client.writer.transport.pause_reading()
            await until(lambda: logs)
            client.writer.transport.resume_reading()
            got = b""
            while piece := await _read(client):
                got += piece
    assert len(got) < 30_000_000
    assert logs[0]["slow-reader"] == 1


async def test_a_client_that_does_not_read_the_last_part_of_an_answer_is_disconnected():
    """The part is too small for aiohttp to wait for the client, and too large for the buffers of the kernel."""
    async with served(Limits(9, 9, stall_s=0.2, idle_s=0.2), buffer=4096) as site:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", site.port))
            await loop.sock_sendall(client, b"GET /part HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(1)  # Only time shows that a client does not read.
            got = 0
            with suppress(ConnectionError):
                while piece := await asyncio.wait_for(loop.sock_recv(client, 65536), PATIENCE_S):
                    got += len(piece)
            assert got < PART


async def _read(client: Client) -> bytes:
    try:
        return await client.reader.read(1 << 20)
    except ConnectionError:
        return b""


async def test_a_head_that_dribbles_has_one_deadline_and_a_body_must_make_progress():
    async with served(Limits(9, 9, head_s=0.3, stall_s=0.3)) as site:
        for said in (HALF, POST % 100_000):
            client, began = await site.open(said), time.monotonic()
            with pytest.raises(OSError, match=r"reset|Broken|closed|lost"):
                while time.monotonic() - began < PATIENCE_S:
                    client.writer.write(b"x")
                    await client.writer.drain()
                    if client.reader.at_eof() or client.writer.transport.is_closing():
                        raise ConnectionResetError("closed")
                    await asyncio.sleep(0.02)


async def test_a_body_that_arrives_slowly_but_steadily_is_read():
    async with served(Limits(9, 9, head_s=0.2, stall_s=1.0)) as site:
        client = await site.open(POST % 36_000)
        for _ in range(12):
            client.writer.write(b"x" * 3_000)
            await asyncio.sleep(0.1)
        assert await client.line() == b"HTTP/1.1 200 OK\r\n"


async def test_a_request_that_the_server_takes_long_to_answer_is_not_cut_off():
    async with served(Limits(9, 9, head_s=0.1, stall_s=0.1, idle_s=0.1)) as site:
        client = await site.open(b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not await client.closed(within_s=0.6)


@pytest.mark.parametrize("said", [HALF, b"", WHOLE, POST % 5], ids=["half-head", "silent", "idle", "half-body"])
async def test_when_all_places_are_taken_the_client_that_has_waited_longest_makes_room(said: bytes):
    async with served(Limits(**ENDLESS, connections=5, per_address=100)) as site:
        waiting = [await site.open(said) for _ in range(5)]
        if said is WHOLE:
            for client in waiting:
                await client.line()
        elif said.startswith(b"POST"):
            await site.until_begun(5)
        assert await site.answers()
        assert await waiting[0].closed()
        assert not await waiting[4].closed(within_s=0.1)


async def test_a_client_that_reads_slowly_but_steadily_gets_its_answer():
    async with served(Limits(9, 9, head_s=0.1, stall_s=1.0, idle_s=0.1), buffer=4096) as site:
        client = await site.open(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(12):
                await client.reader.readexactly(300_000)
                await asyncio.sleep(0.15)


async def test_a_download_that_makes_progress_makes_no_room_for_a_flood():
    async with served(Limits(**ENDLESS, connections=3, per_address=100), buffer=4096) as site:
        download = await site.open(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await download.reader.readexactly(1000)
        flood = [await site.open(HALF) for _ in range(2)]
        await download.reader.readexactly(3_000_000)
        assert await site.answers()
        assert await flood[0].closed()
        await download.reader.readexactly(3_000_000)


async def test_an_upload_that_makes_progress_makes_no_room_for_a_flood():
    async with served(Limits(**ENDLESS, connections=3, per_address=100)) as site:
        upload = await site.open(POST % 100_000)
        await site.until_begun(1)
        flood = [await site.open(HALF) for _ in range(2)]
        upload.writer.write(b"x" * 50_000)
        await asyncio.sleep(0.2)  # Until the next sweep.
        assert await site.answers()
        assert await flood[0].closed()
        upload.writer.write(b"x" * 50_000)
        assert await upload.line() == b"HTTP/1.1 200 OK\r\n"


async def test_requests_that_are_being_answered_make_no_room():
    async with served(Limits(**ENDLESS, connections=3, per_address=100)) as site:
        busy = [await site.open(b"GET /busy HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(3)]
        await site.until_begun(3)
        assert await (await site.open(WHOLE)).closed()
        assert not await busy[0].closed(within_s=0.1)


async def test_one_address_takes_its_own_places_only_and_a_proxy_takes_all():
    limits = Limits(**ENDLESS, connections=100, per_address=3, trusted=(ip_network("127.0.0.3"),))
    async with served(limits) as site:
        other = await site.open(HALF, "127.0.0.2")
        office = [await site.open(HALF, "127.0.0.3") for _ in range(20)]
        many = [await site.open(HALF) for _ in range(5)]
        assert [await client.closed() for client in many[:2]] == [True, True]
        assert not any([await client.closed(within_s=0.1) for client in many[2:]])
        assert not await other.closed(within_s=0.05)
        assert not any([await client.closed(within_s=0.01) for client in office])


async def test_many_closed_connections_are_one_message():
    with capture_logs() as logs:
        async with served(Limits(**ENDLESS, connections=200, per_address=5)) as site:
            for _ in range(60):
                await site.open(HALF)
            await asyncio.sleep(0.2)
    assert [entry["event"] for entry in logs] == ["connections closed"]
    assert sum(entry["too-many"] for entry in logs) <= 55


async def test_a_body_that_nobody_read_is_not_received():
    async with served(MANY) as site:
        client = await site.open(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n")
        assert await client.line() == b"HTTP/1.1 200 OK\r\n"
        sent = 0
        with pytest.raises((OSError, TimeoutError)):
            while sent < 900_000_000:
                client.writer.write(b"x" * 100_000)
                sent += 100_000
                async with asyncio.timeout(5):
                    await client.writer.drain()
        assert sent < 100_000_000
        client.close()


async def test_a_small_body_that_nobody_read_does_not_end_the_connection():
    async with served(MANY) as site:
        client = await site.open(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
        assert await client.line() == b"HTTP/1.1 200 OK\r\n"
        client.writer.write(b"cde" + WHOLE)
        said = b""
        while said.count(b"200 OK") < 1:
            line = await client.line()
            assert line
            said += line
        client.close()


async def test_requests_may_follow_each_other_and_come_in_pieces():
    async with served(MANY) as site:
        client = await site.open()
        for byte in WHOLE + POST % 3 + b"abc" + WHOLE:
            client.writer.write(bytes([byte]))
            await client.writer.drain()
        said = b""
        while said.count(b"200 OK") < 3:
            line = await client.line()
            assert line or said.count(b"200 OK") == 3
            said += line
        client.close()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
    ],
)
def test_the_addresses_of_one_subscriber_are_one_client(one: str, other: str, same: bool):
    assert (network_of(one) == network_of(other)) is same


def test_connections_leave_files_for_everything_else(monkeypatch: pytest.MonkeyPatch):
    for files, connections in [(1024, 768), (100, LEAST_CONNECTIONS), (100_000, 4000), (-1, 4000)]:
        monkeypatch.setattr("compliance.open_files.resource.getrlimit", lambda _, files=files: (files, files))
        assert room_for(4000) == connections


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (WHOLE, b"200"),
        (b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"PUT /read HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"not HTTP\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
    ],
    ids=["found", "not-found", "another-method", "no-http", "two-lengths"],
)
async def test_no_answer_names_the_version_of_a_library(said: bytes, status: bytes):
    async with served(Limits(9, 9)) as site:
        head = (await _read(await site.open(said))).lower()
        assert head.split(b" ", 2)[1] == status
        assert b"server: dnc-gate\r\n" in head
        assert b"aiohttp" not in head
