"""Accept connections from the PBX, read what arrives, and send the answer.

A session transfers only a few hundred bytes, so the event loop's transports would be a large part of its cost. This
module therefore makes the system calls itself: one epoll holds all connections, and the event loop watches that epoll.
With 32 callers this handles 36 to 41 % more calls per core (python -m bench.alternatives; docs/decisions/002).
"""

import asyncio
import errno
import select
import socket
from collections.abc import Callable
from typing import Protocol

import structlog

READ_SIZE = 4096
"""Bytes per read. A whole request is smaller than this."""

MOST_EVENTS = 1024

# With MSG_MORE the kernel delays the command until shutdown() adds the FIN, and sends both in one packet (send(2);
# TCP_CORK in tcp(7)). Asterisk then ends AGI() after this one command, without another round trip.
LAST = socket.MSG_DONTWAIT | socket.MSG_MORE

RETRY_S = 0.5
"""Seconds to wait before accepting again, after the system had no resources for another connection."""

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = structlog.get_logger()


class ConnectionOwner(Protocol):
    """The owner of a connection. `data_received` and `connection_lost` are named as in `asyncio.Protocol`."""

    def data_received(self, data: bytes) -> None:
        """Process bytes from the peer."""

    def wait(self) -> None:
        """Wait for more bytes. The listener calls this once, after the first read, if the connection is still open."""

    def connection_lost(self) -> None:
        """Release the connection, which either side may have closed."""


class Connection:
    """One open connection from the address `peer`."""

    __slots__ = ("_listener", "_socket", "owner", "peer")

    def __init__(self, listener: "Listener", connected: socket.socket, peer: str) -> None:
        self._listener, self._socket, self.peer = listener, connected, peer
        self.owner: ConnectionOwner | None = None

    def send_last(self, line: bytes) -> bool:
        """Send the only line and end the stream. If the kernel does not accept both, close and return False."""
        # The line must not be sent in parts. Asterisk busy-waits for the newline of an incomplete line, and meanwhile
        # its absolute timeout does not fire (seen on Asterisk 22; res_agi.c, run_agi). The send buffer of a fresh
        # socket is far larger than the line.
        try:
            taken = self._socket.send(line, LAST) == len(line)
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            taken = False
        if not taken:
            self.close()
        return taken

    def read(self) -> None:
        """Pass the received bytes to the owner. Close the connection at the end of the stream or on an error."""
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
        """Stop accepting connections, and keep the open ones."""
        # close() removes a socket from an epoll only if no other process has the same socket open (see "Questions and
        # answers" in epoll(7)). The other gate processes share this socket, so remove it from the loop's epoll before
        # closing it.
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def close(self) -> None:
        """Close every open connection."""
        for connection in tuple(self._connections.values()):
            connection.close()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def forget(self, fd: int) -> None:
        """Remove a connection that is about to be closed."""
        # EPOLL_CTL_DEL is not needed: no other process has this socket, so closing it removes it from the epoll
        # (epoll(7)).
        del self._connections[fd]

    def _read_ready(self) -> None:
        # An owner may close any connection while this loop runs. So a later event of the same batch may belong to a
        # connection that is no longer in the table.
        connections = self._connections
        for fd, _ in self._epoll.poll(0, MOST_EVENTS):
            if connection := connections.get(fd):
                self._read(connection)

    def _read(self, connection: Connection) -> None:
        try:
            connection.read()
        except Exception:  # A fault in one session must end only this session.
            log.exception("conversation failed")
            connection.close()

    def _accept(self) -> None:
        """Accept all waiting connections."""
        while True:
            try:
                connected, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._pause(error)
                return
            self._open(connected, address[0])

    def _open(self, connected: socket.socket, peer: str) -> None:
        connection = Connection(self, connected, peer)
        self._connections[connected.fileno()] = connection
        try:
            connection.owner = self._owner_of(connection)
            if connection.owner is None:
                connection.close()
                return
            # Asterisk sends the request right after it has connected. So the request has usually arrived by now, and
            # reading it here saves a turn of the event loop.
            connection.read()
            if (fd := connected.fileno()) >= 0:
                self._epoll.register(fd, select.EPOLLIN)
                connection.owner.wait()
        except Exception:  # A fault with one connection must not keep the gate from accepting the next one.
            log.exception("conversation failed")
            connection.close()

    def _pause(self, error: OSError) -> None:
        """Stop accepting connections for `RETRY_S`."""
        # The failed accept() leaves the connection in the backlog, so the loop would report the socket as ready again
        # and again.
        log.error("no more connections can be accepted", why=str(error))
        self._loop.remove_reader(self._listening)
        self._loop.call_later(RETRY_S, self._resume)

    def _resume(self) -> None:
        if self._listening.fileno() >= 0 and not self._epoll.closed:
            self._loop.add_reader(self._listening, self._accept)
