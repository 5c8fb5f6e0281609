"""The door that the PBX comes in by: connections are accepted, what arrives is read, what is said is sent.

A conversation is a few hundred bytes long, and asyncio's transports cost as much as all else that it takes. So there
is nothing here but the system calls: one epoll has all connections, and the event loop watches that epoll.
"""

import asyncio
import errno
import select
import socket
from collections.abc import Callable
from typing import Protocol

import structlog

PIECE = 4096
"""Bytes read at once; a whole request is smaller."""

MOST_EVENTS = 1024

LAST = socket.MSG_DONTWAIT | socket.MSG_MORE
"""How the one line is sent: it goes out together with the end of the stream, in one packet (tcp(7), TCP_CORK)."""

RETRY_S = 0.5
"""How long nobody is let in when the system has no room for another connection."""

_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = structlog.get_logger()


class Conversation(Protocol):
    """Who talks over a connection."""

    def heard(self, data: bytes) -> None:
        """Take what the peer said."""

    def gone(self) -> None:
        """Take note that the connection is closed, by whomever."""


class Connection:
    """One open connection."""

    __slots__ = ("_door", "_socket", "conversation")

    def __init__(self, door: "Listener", connected: socket.socket) -> None:
        self._door, self._socket = door, connected
        self.conversation: Conversation | None = None

    def say(self, line: bytes) -> bool:
        """Send the one line that there is to say; tell whether it was taken. A peer that does not take it is closed.

        It hears in the same moment that nothing follows, so that it need not wait until its reply was read here.
        """
        try:
            taken = self._socket.send(line, LAST) == len(line)
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            taken = False
        if not taken:
            self.close()
        return taken

    def listen(self) -> None:
        """Hand over what has arrived, if anything."""
        try:
            data = self._socket.recv(PIECE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and self.conversation:
            self.conversation.heard(data)
        else:
            self.close()

    def close(self) -> None:
        """Close the connection, unless it is closed."""
        if (fd := self._socket.fileno()) < 0:
            return
        self._door.forget(fd)
        self._socket.close()
        if self.conversation:
            self.conversation.gone()


class Listener:
    """Lets peers in from `listener`. `converse` begins a conversation, or gives None for a peer that is not welcome.

    It is made on the event loop that it is used on.
    """

    def __init__(self, listener: socket.socket, converse: Callable[[Connection], Conversation | None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener, self._converse = listener, converse
        self._connections: dict[int, Connection] = {}
        self._epoll = select.epoll()

    def open(self) -> None:
        """Let peers in from now on."""
        self._loop.add_reader(self._listener, self._let_in)
        self._loop.add_reader(self._epoll.fileno(), self._attend)

    def shut(self) -> None:
        """Let nobody in any more; who is in stays."""
        # Closing is not enough: as long as another process has the same listener, it would be told of.
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def remove(self) -> None:
        """Close whatever is open."""
        for connection in tuple(self._connections.values()):
            connection.close()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def forget(self, fd: int) -> None:
        """Take note that a connection is about to be closed; the system then takes it out of the epoll."""
        del self._connections[fd]

    def _attend(self) -> None:
        connections = self._connections
        for fd, _ in self._epoll.poll(0, MOST_EVENTS):
            if connection := connections.get(fd):
                self._listen_to(connection)

    def _listen_to(self, connection: Connection) -> None:
        try:
            connection.listen()
        except Exception:  # One conversation's fault ends that one.
            log.exception("conversation failed")
            connection.close()

    def _let_in(self) -> None:
        """Accept whoever waits, and listen at once: the request has mostly arrived by then."""
        while True:
            try:
                connected, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._pause(error)
                return
            self._begin(connected)

    def _begin(self, connected: socket.socket) -> None:
        connection = Connection(self, connected)
        self._connections[connected.fileno()] = connection
        try:
            connection.conversation = self._converse(connection)
            if connection.conversation is None:
                connection.close()
                return
            connection.listen()
            if (fd := connected.fileno()) >= 0:
                self._epoll.register(fd, select.EPOLLIN)
        except Exception:  # Whoever comes next is let in all the same.
            log.exception("conversation failed")
            connection.close()

    def _pause(self, error: OSError) -> None:
        """Leave the waiting to wait: the loop would be told of them without end."""
        log.error("no more connections can be accepted", why=str(error))
        self._loop.remove_reader(self._listener)
        self._loop.call_later(RETRY_S, self._go_on)

    def _go_on(self) -> None:
        if self._listener.fileno() >= 0 and not self._epoll.closed:
            self._loop.add_reader(self._listener, self._let_in)
