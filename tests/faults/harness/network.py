"""A network between programs and Redis whose links can be cut, slowed down, or made deaf, in a process of its own.

`Network` starts the process and commands it. `python -m tests.faults.harness.network` is the process itself: it relays
each connection to the port of a link to that link's server.
"""

import asyncio
import json
import socket
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import uvloop

from lab.process import Process, accepts, free_port

Mode = Literal["open", "cut", "silent", "deaf", "late"]
"""`cut` breaks connections and refuses new ones. `silent` passes nothing on until it ends, then everything. `deaf` does
so only with the replies of the server. `late` passes everything on later."""

COMMAND_WITHIN_S = 10.0


@dataclass
class Link:
    """The way of some programs to one server, at `port`. `server` is a path of a unix socket."""

    name: str
    port: int
    server: str
    mode: Mode = "open"
    late_s: float = 0.0
    legs: "set[Leg]" = field(default_factory=set)
    listener: asyncio.Server | None = None


class Network:
    """The links by name, each a TCP port of loopback in front of a unix socket. `ports` are free ones if not given."""

    def __init__(self, directory: Path, servers: Mapping[str, Path], ports: Mapping[str, int] | None = None) -> None:
        self._control, self._log = directory / "network.sock", directory / "network.log"
        self.ports = dict(ports or {name: free_port() for name in servers})
        self._links = [{"name": name, "port": self.ports[name], "server": str(path)} for name, path in servers.items()]
        self.process: Process | None = None

    def start(self) -> Self:
        """Start the process, and wait until it relays."""
        words = [sys.executable, "-m", "tests.faults.harness.network", str(self._control), json.dumps(self._links)]
        self.process = Process(words, self._log)
        self.process.wait_until(lambda: accepts(str(self._control)))
        return self

    def set(self, name: str, mode: Mode, late_ms: float = 0) -> None:
        """Change the mode of one link, and wait until it is in force."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(COMMAND_WITHIN_S)
            control.connect(str(self._control))
            control.sendall(f"{name} {mode} {late_ms}\n".encode())
            if control.recv(16) != b"done\n":
                raise RuntimeError(f"the network did not take {name} {mode}")

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()


class Leg(asyncio.Protocol):
    """One direction of a connection. `to` is the other end's transport; `replies` is the way back from the server."""

    def __init__(self, link: Link, *, replies: bool) -> None:
        self._link, self._replies = link, replies
        self.transport: asyncio.WriteTransport | None = None
        self.other: Leg | None = None
        self._waiting: deque[tuple[float, bytes]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._link.legs.add(self)

    def data_received(self, data: bytes) -> None:
        if self._link.mode == "open" and not self._waiting and self.other and self.other.transport:
            self.other.transport.write(data)
            return
        late_s = self._link.late_s if self._link.mode == "late" else 0.0
        self._waiting.append((asyncio.get_running_loop().time() + late_s, data))
        self.pump()

    @property
    def _held(self) -> bool:
        return self._link.mode == "silent" or (self._link.mode == "deaf" and self._replies)

    def pump(self) -> None:
        """Pass on what is due, and come back for the rest."""
        loop = asyncio.get_running_loop()
        while self._waiting and not self._held and self.other and self.other.transport:
            due, data = self._waiting[0]
            if self._link.mode == "late" and due > loop.time():
                loop.call_at(due, self.pump)
                return
            self._waiting.popleft()
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.legs.discard(self)
        if self.other and self.other.transport:
            self.other.transport.close()

    def break_off(self) -> None:
        """End the connection at once, with what waits."""
        self._waiting.clear()
        if self.transport:
            self.transport.abort()


async def _accepted(link: Link, leg: Leg) -> None:
    """Connect a new client's leg to the server."""
    try:
        _, back = await asyncio.get_running_loop().create_unix_connection(lambda: Leg(link, replies=True), link.server)
    except OSError:
        leg.break_off()
        return
    leg.other, back.other = back, leg
    leg.pump()


class _Front(Leg):
    """The leg of a client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(_accepted(self._link, self))


async def _open(link: Link) -> None:
    if link.listener is None:
        loop = asyncio.get_running_loop()
        link.listener = await loop.create_server(lambda: _Front(link, replies=False), "127.0.0.1", link.port)


async def _set(link: Link, mode: Mode, late_s: float) -> None:
    link.mode, link.late_s = mode, late_s
    if mode == "cut":
        if link.listener is not None:
            link.listener.close()
            link.listener = None
        for leg in [*link.legs]:
            leg.break_off()
        return
    await _open(link)
    for leg in [*link.legs]:
        leg.pump()


async def _serve(control: str, links: Mapping[str, Link]) -> None:
    for link in links.values():
        await _open(link)

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            name, mode, late_ms = line.decode().split()
            await _set(links[name], mode, float(late_ms) / 1000)  # type: ignore[arg-type]
            writer.write(b"done\n")
        writer.close()

    server = await asyncio.start_unix_server(obey, control)
    await server.serve_forever()


def main() -> None:
    links = {one["name"]: Link(**one) for one in json.loads(sys.argv[2])}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(sys.argv[1], links))


if __name__ == "__main__":
    main()
