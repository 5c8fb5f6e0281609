"""A relay between a program and a server on loopback. A test can hold back what the server replies."""

import socket
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Self


class Relay:
    """Relays each connection to its TCP `port` to the Unix socket `server`. Between `hold` and `release` it passes on
    no reply.
    """

    def __init__(self, server: Path) -> None:
        self._server, self._open = server, Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = [self._listener]
        Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def _accept(self) -> None:
        with suppress(OSError):  # The listener is closed.
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                self._sockets += [client, server]
                Thread(target=_copy, args=(client, server), daemon=True).start()
                Thread(target=_copy, args=(server, client, self._open), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _copy(source: socket.socket, target: socket.socket, may_pass: Event | None = None) -> None:
    with suppress(OSError):  # The other side is gone, or the test is over.
        while data := source.recv(65536):
            if may_pass:
                may_pass.wait()
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
