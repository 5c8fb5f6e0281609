"""Measure how much the gate gains by two parts of the call path, compared with their usual implementations.

`python -m bench.alternatives [--seconds 1] [--rounds 5]` puts three variants under the same load in turn, as
`bench.gate --everysec` does:

- gate: unchanged,
- transports: the event loop's own transports (uvloop) instead of the epoll of `agi_gate/fastagi/listener.py`,
- sleeping: without the busy wait of `agi_gate/store/link.py`, which keeps the loop awake while Redis answers one call.

Prints medians over the rounds. A ratio divides figures of the same round, `gate` by the other variant.
"""

import argparse
import asyncio
import os
import runpy
import socket
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

from agi_gate.fastagi.listener import ConnectionOwner
from agi_gate.serving import server
from agi_gate.store import link
from bench.agi import LOAD_CORE, SERVER_CORE, Callers, Load, Outcome, Server, median, pin
from lab.process import Process, accepts, free_port
from lab.redis import RedisServer
from tests.support.handmade import HandmadeProjection

LISTED = 1_000
LOADS = (Load("closed", 1), Load("closed", 32), Load("open", 1000))
FIGURES = {"per_second": "calls a second", "cpu_us": "CPU a call", "p50_us": "p50", "p99_us": "p99"}
READY = b"GET /readyz HTTP/1.0\r\n\r\n"

Runs = Mapping[tuple[str, Load], list[Outcome]]


class TransportListener:
    """Accepts peers as `listener.Listener` does, with the event loop's own server and transports."""

    def __init__(self, listening: socket.socket, owner_of: Callable[["Peer"], ConnectionOwner | None]) -> None:
        self._listening, self.owner_of = listening, owner_of
        self.peers: set[Peer] = set()

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(loop.create_server(lambda: Peer(self), sock=self._listening, backlog=1024))

    def stop_accepting(self) -> None:
        self._opening.result().close()

    def close(self) -> None:
        for peer in tuple(self.peers):
            peer.close()


class Peer(asyncio.Protocol):
    """One connection. A session uses it like a `listener.Connection`."""

    def __init__(self, listener: TransportListener) -> None:
        self._listener, self.peer = listener, ""
        self.owner: ConnectionOwner | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.peer = transport.get_extra_info("peername")[0]
        self._listener.peers.add(self)
        self.owner = self._listener.owner_of(self)
        if self.owner is None:
            self.close()

    def data_received(self, data: bytes) -> None:
        if self.owner:
            self.owner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._listener.peers.discard(self)
        if self.owner:
            self.owner.connection_lost()

    def send_last(self, line: bytes) -> bool:
        if self._transport.is_closing():
            return False
        self._transport.write(line)  # type: ignore[attr-defined]
        self._transport.write_eof()  # type: ignore[attr-defined]
        return True

    def close(self) -> None:
        self._transport.abort()  # type: ignore[attr-defined]


def unchanged() -> None:
    """Replace no part of the gate."""


def with_transports() -> None:
    replace(server, "Listener", TransportListener)


def sleeping() -> None:
    replace(link, "AWAKE_S", 0.0)


def replace(module: ModuleType, name: str, other: object) -> None:
    """Replace one attribute of a module. Raises AttributeError when the module does not have it."""
    getattr(module, name)
    setattr(module, name, other)


VARIANTS = {"gate": unchanged, "transports": with_transports, "sleeping": sleeping}


@contextmanager
def serving(name: str, directory: Path, redis_url: str) -> Iterator[Server]:
    """Run one variant of the gate, on uvloop, without a log line for each call."""
    port, http = free_port(), free_port()
    settings = {
        "DNC_REDIS_URL": redis_url, "DNC_LOG_LEVEL": "WARNING",
        "DNC_AGI_BIND": f"127.0.0.1:{port}", "DNC_METRICS_BIND": f"127.0.0.1:{http}",
    }  # fmt: skip
    command = [sys.executable, "-m", "bench.alternatives", "--serve", name]
    with Process(command, directory / f"{name}.log", settings) as process:
        process.wait_until(lambda: accepts(("127.0.0.1", http)) and b" 200 " in _ready(http), within_s=30)
        pin(process.pid, SERVER_CORE)
        yield Server(name, process, port, LISTED)


def _ready(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as asking:
        asking.sendall(READY)
        return asking.recv(64)


def table(runs: Runs) -> Iterator[str]:
    """Yield the lines of the medians, and of the ratios of the gate to each variant."""
    yield f"{'':<32}" + "".join(f"{said:>16}" for said in FIGURES.values()) + f"{'wrong':>8}"
    for (name, load), outcomes in runs.items():
        figures = "".join(f"{median(outcomes, figure):>16,.0f}" for figure in FIGURES)
        yield f"{name:<18}{load!s:<14}{figures}{sum(one.wrong + one.unanswered for one in outcomes):>8}"
    yield ""
    for (name, load), outcomes in runs.items():
        if name != "gate":
            ratios = [_ratio(runs["gate", load], outcomes, figure) for figure in FIGURES]
            yield f"{f'gate / {name}':<18}{load!s:<14}" + "".join(f"{ratio:>16.2f}" for ratio in ratios)


def _ratio(ours: list[Outcome], theirs: list[Outcome], figure: str) -> float:
    return statistics.median(getattr(one, figure) / getattr(two, figure) for one, two in zip(ours, theirs, strict=True))


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", choices=VARIANTS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        VARIANTS[asked.serve]()
        sys.argv[1:] = ["serve"]
        runpy.run_module("agi_gate", run_name="__main__")
        return
    runs: dict[tuple[str, Load], list[Outcome]] = defaultdict(list)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dnc-bench-")))
        redis = stack.enter_context(RedisServer(directory / "r", options={"appendfsync": "everysec"}))
        projected = HandmadeProjection(redis)
        for line in range(LISTED):
            projected.put_on(f"+1415555{line:04}")
        projected.redis.persist("dnc:lease")
        pin(redis.running.pid, LOAD_CORE)
        gates = [stack.enter_context(serving(name, directory, redis.url)) for name in VARIANTS]
        callers = Callers(directory)
        for gate in gates:
            callers.place(gate, Load("closed", 4), 0.5)
        for _ in range(asked.rounds):
            for load in LOADS:
                for gate in gates:
                    runs[gate.name, load].append(callers.place(gate, load, asked.seconds))
    print(f"{os.cpu_count()} cores")
    print("\n".join(table(runs)))


if __name__ == "__main__":
    main()
