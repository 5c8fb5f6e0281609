"""The listener on real sockets: it receives and sends data, and a fault of one peer does not affect the others."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from agi_gate.fastagi import listener as room
from agi_gate.fastagi.listener import Connection, Listener
from compliance.listening import listen


class Guest:
    """The owner of a connection: it keeps the received data, and answers as the test wants."""

    def __init__(self, connection: Connection, answer: Callable[[Connection, bytes], object]) -> None:
        self.connection, self.answer = connection, answer
        self.words = b""
        self.waits = self.farewells = 0

    def data_received(self, data: bytes) -> None:
        self.words += data
        self.answer(self.connection, data)

    def wait(self) -> None:
        self.waits += 1

    def connection_lost(self) -> None:
        self.farewells += 1


class House:
    """A listener, and the owners of all its connections."""

    def __init__(self, listener: socket.socket | None = None) -> None:
        self.listener = listener or listen("DNC_AGI_BIND", "127.0.0.1:0")
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.guests: list[Guest] = []
        self.callers: list[asyncio.StreamWriter] = []
        self.answer: Callable[[Connection, bytes], object] = lambda connection, data: connection.send_last(data.upper())
        self.welcome = True
        self.beginning: Exception | None = None
        self.door = Listener(self.listener, self.converse)
        self.door.start()

    def converse(self, connection: Connection) -> Guest | None:
        if self.beginning:
            raise self.beginning
        if not self.welcome:
            return None
        self.guests.append(Guest(connection, self.answer))
        return self.guests[-1]

    async def call(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        self.callers.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self.callers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self.callers), return_exceptions=True)
        if self.listener.fileno() >= 0:
            self.door.stop_accepting()
        self.door.close()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.001)


async def test_what_is_said_in_pieces_is_heard_and_answered(house: House):
    house.answer = lambda connection, _: house.guests[0].words == b"onetwo" and connection.send_last(b"ONETWO")
    reader, writer = await house.call()
    writer.write(b"one")
    await until(lambda: bool(house.guests) and house.guests[0].words == b"one")
    writer.write(b"two")
    assert await reader.read() == b"ONETWO"


async def test_a_peer_hears_at_once_that_nothing_follows_and_what_it_says_then_is_heard(house: House):
    house.answer = lambda connection, data: data == b"ask" and connection.send_last(b"ANSWER")
    reader, writer = await house.call()
    writer.write(b"ask")
    assert await reader.read() == b"ANSWER"
    assert house.guests[0].farewells == 0
    writer.write(b", thanks")
    await until(lambda: house.guests[0].words == b"ask, thanks")


async def test_an_owner_is_told_once_to_wait_even_if_its_peer_says_nothing(house: House):
    _, writer = await house.call()
    await until(lambda: bool(house.guests) and house.guests[0].waits == 1)
    writer.write(b"x")
    await until(lambda: house.guests[0].words == b"x")
    assert house.guests[0].waits == 1


async def test_a_peer_that_leaves_is_gone_once(house: House):
    _, writer = await house.call()
    writer.write(b"x")
    await until(lambda: bool(house.guests) and house.guests[0].words == b"x")
    writer.transport.abort()
    await until(lambda: house.guests[0].farewells > 0)
    house.guests[0].connection.close()
    assert house.guests[0].farewells == 1
    assert house.guests[0].connection.send_last(b"too late") is False


async def test_a_connection_that_is_closed_here_is_closed_there(house: House):
    house.answer = lambda connection, _: connection.close()
    reader, writer = await house.call()
    writer.write(b"bye")
    assert await reader.read() == b""
    assert house.guests[0].farewells == 1


async def test_a_peer_that_does_not_take_what_is_said_is_closed(house: House):
    house.answer = lambda connection, _: connection.send_last(b"x" * 50_000_000)
    _, writer = await house.call()
    writer.write(b"more")
    await until(lambda: bool(house.guests) and house.guests[0].farewells == 1)


async def test_whoever_is_not_welcome_is_closed_at_once(house: House):
    house.welcome = False
    reader, writer = await house.call()
    assert await reader.read() == b""
    writer.close()
    house.welcome = True
    reader, writer = await house.call()
    writer.write(b"me")
    assert await reader.readexactly(2) == b"ME"


async def test_a_fault_in_one_conversation_ends_that_one_only(house: House):
    def answer(connection: Connection, data: bytes) -> None:
        if data == b"fault":
            raise RuntimeError("a fault")
        connection.send_last(data)

    house.answer = answer
    (bad, bad_writer), (good, good_writer) = await house.call(), await house.call()
    with capture_logs() as said:
        bad_writer.write(b"fault")
        assert await bad.read() == b""
    good_writer.write(b"fine")
    assert await good.readexactly(4) == b"fine"
    assert [line["event"] for line in said] == ["conversation failed"]


async def test_a_conversation_that_cannot_begin_is_closed_and_the_next_is_let_in(house: House):
    house.beginning = RuntimeError("a fault")
    with capture_logs() as said:
        reader, _ = await house.call()
        assert await reader.read() == b""
    assert [line["event"] for line in said] == ["conversation failed"]
    house.beginning = None
    reader, writer = await house.call()
    writer.write(b"me")
    assert await reader.readexactly(2) == b"ME"
    assert len(house.door._connections) == 1


async def test_a_hundred_peers_at_once_each_get_their_own_answer(house: House):
    async def call(number: int) -> None:
        reader, writer = await house.call()
        said = b"peer %d" % number
        writer.write(said)
        assert await reader.readexactly(len(said)) == said.upper()
        writer.close()

    await asyncio.gather(*map(call, range(100)))
    await until(lambda: sum(guest.farewells for guest in house.guests) == 100)


async def test_when_the_door_is_shut_those_inside_are_served_and_nobody_else(house: House):
    reader, writer = await house.call()
    await until(lambda: bool(house.guests))
    house.door.stop_accepting()
    with pytest.raises(ConnectionRefusedError):
        await house.call()
    writer.write(b"b")
    assert await reader.readexactly(1) == b"B"


async def test_a_listener_that_another_process_has_too_is_not_watched_once_the_door_is_shut(house: House):
    with house.listener.dup():
        house.door.stop_accepting()
        await house.call()
        assert house.door._epoll.poll(0.1) == []


class FullSystem(socket.socket):
    """A listening socket whose next two accepts fail, by default for lack of file descriptors."""

    refusals, error = 2, errno.EMFILE

    def accept(self) -> tuple[socket.socket, object]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(self.error, "Too many open files")
        return super().accept()


@pytest.mark.parametrize(("error", "retry_s", "told"), [(errno.EMFILE, 0.05, 2), (errno.ECONNABORTED, 60, 0)])
async def test_a_system_without_room_is_told_and_those_who_wait_are_let_in_later(
    monkeypatch: pytest.MonkeyPatch, error: int, retry_s: float, told: int
):
    monkeypatch.setattr(room, "RETRY_S", retry_s)
    began = asyncio.get_running_loop().time()
    listener = FullSystem()
    listener.error = error
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    house = House(listener)
    with capture_logs() as said:
        reader, writer = await house.call()
        writer.write(b"patience")
        assert await reader.readexactly(8) == b"PATIENCE"
    assert [line["event"] for line in said] == ["no more connections can be accepted"] * told
    assert asyncio.get_running_loop().time() - began >= told * retry_s
    await house.close()
