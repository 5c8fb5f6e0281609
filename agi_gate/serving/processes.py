"""Several gate processes on one listening socket, and the parent that starts them, restarts them and sums their counts.

All processes accept from the same socket, so connections in its backlog survive the death of a process. Each child
writes its counts to its standard output, one JSON object per line. If this pipe breaks, the parent is dead. The child
then drains and ends.
"""

import asyncio
import json
import socket
import sys
import time
from dataclasses import dataclass, field

import structlog

from agi_gate.metrics import Snapshot, counters_only
from agi_gate.serving.observer import observing
from agi_gate.serving.server import Server, gate_name, listening, stop_signal
from agi_gate.settings import GateSettings

REPORT_EVERY_S = 0.25
"""Seconds between two reports of a child."""

STALE_S = 2.0
"""Seconds without a report after which a child counts as not serving."""

RESTART_S = 0.5
"""Seconds to wait before starting another child. Otherwise children that fail at once would use a whole core."""

log = structlog.get_logger()


async def serve_alone(settings: GateSettings) -> None:
    """Serve in this process until SIGTERM or SIGINT. Raises CannotListen."""
    server, stop = Server(settings, gate_name()), stop_signal()
    listener = listening("DNC_AGI_BIND", settings.agi_bind)
    async with observing(settings, lambda: [server.snapshot()], 1), server.serving(listener):
        log.info("gate serves", agi=settings.agi_bind, metrics=settings.metrics_bind)
        await stop.wait()


async def serve_as_child(settings: GateSettings, listener_fd: int) -> None:
    """Serve on an inherited listening socket and report to the parent, until a stop signal or the parent's death."""
    server, stop = Server(settings, gate_name()), stop_signal()
    async with server.serving(socket.socket(fileno=listener_fd)):
        while not stop.is_set():
            try:
                sys.stdout.write(json.dumps(server.snapshot()) + "\n")
                sys.stdout.flush()
                async with asyncio.timeout(REPORT_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue
            except BrokenPipeError:
                return


@dataclass(slots=True, eq=False)
class _Child:
    process: asyncio.subprocess.Process
    snapshot: Snapshot | None = None
    reported_at: float = field(default_factory=time.monotonic)

    @property
    def fresh(self) -> bool:
        return self.snapshot is not None and time.monotonic() - self.reported_at < STALE_S


class Parent:
    """Keeps `count` children running on one socket, and sums their counts."""

    def __init__(self, settings: GateSettings, count: int) -> None:
        self._settings, self._count = settings, count
        self._children: set[_Child] = set()
        self._dead: list[Snapshot] = []

    def snapshots(self) -> list[Snapshot]:
        """Return the counts of all children. Include the last counts of dead ones: a counter must never decrease."""
        live = [child.snapshot for child in self._children if child.snapshot and child.fresh]
        silent = [counters_only(child.snapshot) for child in self._children if child.snapshot and not child.fresh]
        return live + silent + self._dead

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT, then wait until the children have drained. Raises CannotListen."""
        # All children share one socket. With SO_REUSEPORT each child would have its own accept queue, and when a child
        # dies the kernel aborts the connections in its queue (Linux, networking/ip-sysctl, tcp_migrate_req).
        listener, stop = listening("DNC_AGI_BIND", self._settings.agi_bind), stop_signal()
        async with observing(self._settings, self.snapshots, self._count):
            keepers = [asyncio.create_task(self._keep(listener, stop)) for _ in range(self._count)]
            log.info("gate serves", agi=self._settings.agi_bind, processes=self._count)
            await stop.wait()
            for child in self._children:
                child.process.terminate()
            await asyncio.gather(*keepers)

    async def _keep(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Run a child, and start another whenever it ends before `stop`."""
        while not stop.is_set():
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agi_gate", "child", str(listener.fileno()),
                stdout=asyncio.subprocess.PIPE, pass_fds=[listener.fileno()],
            )  # fmt: skip
            child = _Child(process)
            self._children.add(child)
            await self._read_reports(child)
            code = await process.wait()
            self._children.discard(child)
            if child.snapshot:
                self._dead.append(counters_only(child.snapshot))
            if not stop.is_set():
                log.error("gate process ended; starting another", pid=process.pid, code=code)
                await asyncio.sleep(RESTART_S)

    async def _read_reports(self, child: _Child) -> None:
        assert child.process.stdout is not None  # noqa: S101 - opened as a pipe above
        async for line in child.process.stdout:
            child.snapshot, child.reported_at = json.loads(line), time.monotonic()
