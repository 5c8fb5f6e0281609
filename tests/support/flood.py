"""Clients that hold a server's connections with half a request."""

import resource
import socket
import threading
import time
from typing import Self

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Half: "
HALF_BODY = (
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nContent-Length: 9000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname="
)
HALF_AGI = b"agi_network: yes\nagi_"


class Flood:
    """Keeps `count` connections open to a port, from one address. When the server closes one, the next one begins."""

    def __init__(self, port: int, said: bytes, count: int, address: str = "127.0.0.5") -> None:
        self._port, self._said, self._count, self._address = port, said, count, address
        self._sockets: list[socket.socket] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._hold)
        self.opened = 0

    def until_opened(self, count: int, within_s: float = 60.0) -> bool:
        """Wait until `count` connections have been opened; return whether they were."""
        deadline = time.monotonic() + within_s
        while self.opened < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.opened >= count

    def _hold(self) -> None:
        while not self._over.is_set():
            self._sockets = [one for one in self._sockets if not _is_closed(one)]
            while len(self._sockets) < self._count and not self._over.is_set():
                opened = socket.socket()
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                opened.settimeout(5)
                opened.bind((self._address, 0))
                try:
                    opened.connect(("127.0.0.1", self._port))
                    opened.sendall(self._said)
                except OSError:
                    opened.close()
                    break
                self._sockets.append(opened)
                self.opened += 1
            time.sleep(0.02)

    def __enter__(self) -> Self:
        self._soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for one in self._sockets:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _is_closed(one: socket.socket) -> bool:
    """Return whether the server has closed a connection. This reads nothing, so an unread answer stays unread."""
    try:
        closed = one.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        closed = True
    if closed:
        one.close()
    return closed
