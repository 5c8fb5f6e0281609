"""Accept connections from the PBX, read what arrives, and send the answer.

A session is a few hundred bytes long, and the event loop's transports are a large part of what it costs. So this module
makes the system calls itself: one epoll holds all connections, and the event loop watches that epoll. With 32 callers
that gives 36 to 41 % more calls per core (python -m bench.alternatives; docs/decisions/002).
"""

import asyncio
import errno
import select
import socket
from collections.abc import Callable
from typing import Protocol

import structlog

READ_SIZE = 4096
"""Bytes per read; a whole request is smaller."""

MOST_EVENTS = 1024

# MSG_MORE keeps the line back until shutdown() sends the FIN, so both leave in one packet (send(2); tcp(7), TCP_CORK).
# Asterisk then ends AGI() after the one command, without another round trip.
LAST = socket.MSG_DONTWAIT | socket.MSG_MORE

RETRY_S = 0.5
"""Seconds without accepting while the system has no resources for another connection."""

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = structlog.get_logger()


class ConnectionOwner(Protocol):
    """The owner of a connection. The names are those of `asyncio.Protocol`."""

    def data_received(self, data: bytes) -> None:
        """Process bytes from the peer."""

    def connection_lost(self) -> None:
        """Release the connection: one of the two sides has closed it."""


class Connection:
    """One open connection."""

    __slots__ = ("_listener", "_socket", "owner")

    def __init__(self, listener: "Listener", connected: socket.socket) -> None:
        self._listener, self._socket = listener, connected
        self.owner: ConnectionOwner | None = None

    def send_last(self, line: bytes) -> bool:
        """Send the only line and the end of the stream; return whether the kernel took them. Close if it did not."""
        # Never in parts. Asterisk busy-waits on a line without its newline, and its absolute timeout does not fire
        # (seen on Asterisk 22; res_agi.c, run_agi). A fresh socket's send buffer is far larger than the line.
        try:
            taken = self._socket.send(line, LAST) == len(line)
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            taken = False
        if not taken:
            self.close()
        return taken

    def read(self) -> None:
        """Pass what has arrived to the owner; close at the end of the stream or on an error."""
        # MSG_DONTWAIT saves the system call that would make the socket non-blocking.
        try:
            data = self._socket.recv(READ_SIZE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and self.owner:
            self.owner.data_received(data)
        else:
            self.close()

    def close(self) -> None:
        """Close the connection; do nothing if it is closed."""
        if (fd := self._socket.fileno()) < 0:
            return
        self._listener.forget(fd)
        self._socket.close()
        if self.owner:
            self.owner.connection_lost()


class Listener:
    """Accepts connections on `listening`. Create it on the event loop that it runs on.

    `owner_of` returns the owner of a new connection, or None to close it at once.
    """

    def __init__(self, listening: socket.socket, owner_of: Callable[[Connection], ConnectionOwner | None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening, self._owner_of = listening, owner_of
        self._connections: dict[int, Connection] = {}
        self._epoll = select.epoll()

    def start(self) -> None:
        """Start to accept connections."""
        self._loop.add_reader(self._listening, self._accept)
        self._loop.add_reader(self._epoll.fileno(), self._read_ready)

    def stop_accepting(self) -> None:
        """Accept no more connections; keep the open ones."""
        # First out of the loop's epoll: closing takes it out only when no other process has the same socket (epoll(7),
        # questions and answers), and the other gate processes have.
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def close(self) -> None:
        """Close every open connection."""
        for connection in tuple(self._connections.values()):
            connection.close()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def forget(self, fd: int) -> None:
        """Forget a connection that is about to be closed."""
        # No EPOLL_CTL_DEL: closing the only descriptor of a socket takes it out of the epoll (epoll(7)).
        del self._connections[fd]

    def _read_ready(self) -> None:
        # get: an owner may close any connection, also one whose event comes later in this batch.
        connections = self._connections
        for fd, _ in self._epoll.poll(0, MOST_EVENTS):
            if connection := connections.get(fd):
                self._read(connection)

    def _read(self, connection: Connection) -> None:
        try:
            connection.read()
        except Exception:  # A fault in one session must end that one only.
            log.exception("conversation failed")
            connection.close()

    def _accept(self) -> None:
        """Accept all waiting connections."""
        while True:
            try:
                connected, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._pause(error)
                return
            self._open(connected)

    def _open(self, connected: socket.socket) -> None:
        connection = Connection(self, connected)
        self._connections[connected.fileno()] = connection
        try:
            connection.owner = self._owner_of(connection)
            if connection.owner is None:
                connection.close()
                return
            # Asterisk sends the request right after it has connected: mostly it is here, and saves a turn of the loop.
            connection.read()
            if (fd := connected.fileno()) >= 0:
                self._epoll.register(fd, select.EPOLLIN)
        except Exception:  # The next connections must be accepted all the same.
            log.exception("conversation failed")
            connection.close()

    def _pause(self, error: OSError) -> None:
        """Accept nothing for `RETRY_S`."""
        # accept() leaves the connection in the backlog, so the loop would report the socket as ready without end.
        log.error("no more connections can be accepted", why=str(error))
        self._loop.remove_reader(self._listening)
        self._loop.call_later(RETRY_S, self._resume)

    def _resume(self) -> None:
        if self._listening.fileno() >= 0 and not self._epoll.closed:
            self._loop.add_reader(self._listening, self._accept)
