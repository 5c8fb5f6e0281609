"""Several gate processes on one listening socket, and the parent that starts, watches and counts them.

All processes accept from the same socket, so a process that dies takes no waiting connection with it. Each child
writes its counts to its standard output, one JSON object a line; when that pipe breaks, the parent is gone and the
child drains.
"""

import asyncio
import json
import socket
import sys
import time
from dataclasses import dataclass, field

import structlog

from agi_gate.metrics import Snapshot, departed
from agi_gate.serving.observer import observing
from agi_gate.serving.server import Server, gate_name, listen, stop_signal
from agi_gate.settings import GateSettings

REPORT_EVERY_S = 0.25
STALE_S = 2.0
RESTART_S = 0.5

log = structlog.get_logger()


async def serve_alone(settings: GateSettings) -> None:
    """Serve in this process until SIGTERM or SIGINT. Raises CannotListen."""
    server, stop = Server(settings, gate_name()), stop_signal()
    listener = listen(settings.agi_bind)
    async with observing(settings.metrics_bind, lambda: [server.snapshot()], 1), server.serving(listener):
        log.info("gate serves", agi=settings.agi_bind, metrics=settings.metrics_bind)
        await stop.wait()


async def serve_as_child(settings: GateSettings, listener_fd: int) -> None:
    """Serve on an inherited listening socket and report to the parent, until told to stop or the parent is gone."""
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
    """Keeps `count` children alive on one socket and adds up what they count."""

    def __init__(self, settings: GateSettings, count: int) -> None:
        self._settings, self._count = settings, count
        self._children: set[_Child] = set()
        self._departed: list[Snapshot] = []

    def snapshots(self) -> list[Snapshot]:
        """Give the counts of all children, the dead ones' last counts included: a counter never goes back."""
        live = [child.snapshot for child in self._children if child.snapshot and child.fresh]
        silent = [departed(child.snapshot) for child in self._children if child.snapshot and not child.fresh]
        return live + silent + self._departed

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT; children drain before this returns. Raises CannotListen."""
        listener, stop = listen(self._settings.agi_bind), stop_signal()
        async with observing(self._settings.metrics_bind, self.snapshots, self._count):
            keepers = [asyncio.create_task(self._keep(listener, stop)) for _ in range(self._count)]
            log.info("gate serves", agi=self._settings.agi_bind, processes=self._count)
            await stop.wait()
            for child in self._children:
                child.process.terminate()
            await asyncio.gather(*keepers)

    async def _keep(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Run one child, and another one when it ends before `stop`."""
        while not stop.is_set():
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agi_gate", "child", str(listener.fileno()),
                stdout=asyncio.subprocess.PIPE, pass_fds=[listener.fileno()],
            )  # fmt: skip
            child = _Child(process)
            self._children.add(child)
            await self._listen_to(child)
            code = await process.wait()
            self._children.discard(child)
            if child.snapshot:
                self._departed.append(departed(child.snapshot))
            if not stop.is_set():
                log.error("gate process ended; starting another", pid=process.pid, code=code)
                await asyncio.sleep(RESTART_S)

    async def _listen_to(self, child: _Child) -> None:
        assert child.process.stdout is not None  # noqa: S101 - opened as a pipe above
        async for line in child.process.stdout:
            child.snapshot, child.reported_at = json.loads(line), time.monotonic()
