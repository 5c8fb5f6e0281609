"""Several gate processes on one listening socket, and the parent that starts them, restarts them and sums their counts.

All processes accept from the same socket, so connections in its backlog survive the death of a process. `child.py`
describes a child, and how it reports its counts.

On SIGHUP the parent replaces its children one after another. A child is stopped only when its successor accepts calls.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from agi_gate.metrics import Snapshot, counters_only
from agi_gate.serving.observer import observing
from agi_gate.serving.server import Server, gate_name, stop_signal
from agi_gate.serving.start import LOOK_S, refuse_queue
from agi_gate.settings import GateSettings
from compliance.listening import CannotListen

STALE_S = 2.0
"""Seconds without a report after which a child counts as not serving."""

RESTART_S = 0.5
"""Seconds to wait before starting another child. Otherwise children that fail at once would use a whole core."""

START_S = 10.0
"""Seconds that processes get to report for the first time, if none has served before or all that have served are dead.

Connections may wait in a passed socket for so long. After that they are closed until a process serves.
"""

SUCCEED_S = 30.0
"""Seconds that a child gets to accept calls before its predecessor is stopped. After that the predecessor stays."""

END_S = 6.0
"""Seconds that children get to end when the parent stops, then they are killed. A child needs at most `server.DRAIN_S`,
and a second for the records that it leaves on disk.
"""

CANNOT_SERVE = 2
"""Exit code of a child whose settings are wrong, or that cannot listen. It has said why."""

log = structlog.get_logger()


async def serve_alone(settings: GateSettings, reserved: socket.socket) -> None:
    """Serve on the socket `reserved` in this process until SIGTERM, SIGINT or SIGHUP. Raises CannotListen."""
    # SIGHUP replaces the processes of a gate that has several. A gate with one cannot be replaced, so it ends as with
    # SIGTERM. By default SIGHUP would end it in the middle of its calls.
    server, stop = Server(settings, gate_name()), stop_signal(signal.SIGHUP)
    async with (
        observing(settings, lambda: [server.snapshot()], 1),
        server.serving(reserved),
        _refusing(reserved, lambda: server.accepting),
    ):
        await stop.wait()


@asynccontextmanager
async def _refusing(listener: socket.socket, is_served: Callable[[], bool]) -> AsyncIterator[None]:
    """Close the connections that wait in vain, until the context ends."""
    refusing = asyncio.create_task(refuse_queue(listener, is_served))
    try:
        yield
    finally:
        refusing.cancel()


@dataclass(slots=True, eq=False)
class _Child:
    process: asyncio.subprocess.Process
    snapshot: Snapshot | None = None
    reported_at: float = field(default_factory=time.monotonic)
    retired: bool = False

    @property
    def fresh(self) -> bool:
        return self.snapshot is not None and time.monotonic() - self.reported_at < STALE_S

    @property
    def accepting(self) -> bool:
        return self.has_accepted and self.process.returncode is None

    @property
    def has_accepted(self) -> bool:
        return self.snapshot is not None and bool(self.snapshot["accepting"])

    def retire(self) -> None:
        """Let the child finish its sessions and end. Nothing replaces it."""
        self.retired = True
        if self.process.returncode is None:
            self.process.terminate()


class Parent:
    """Keeps `count` children running on the socket `reserved`, and sums their counts."""

    def __init__(self, settings: GateSettings, count: int, reserved: socket.socket) -> None:
        # All children share one socket. With SO_REUSEPORT each child would have its own accept queue, and when a child
        # dies the kernel aborts the connections in its queue (Linux, networking/ip-sysctl, tcp_migrate_req).
        self._settings, self._count, self._reserved = settings, count, reserved
        self._children: set[_Child] = set()
        self._keepers: set[asyncio.Task[None]] = set()
        self._dead: Snapshot | None = None
        """The last counts of all children that have ended."""
        self._has_served, self._served_at = False, time.monotonic()
        self._stop, self._failed = asyncio.Event(), False

    def snapshots(self) -> list[Snapshot]:
        """Return the counts of all children. Include the last counts of dead ones: a counter must never decrease."""
        live = [child.snapshot for child in self._children if child.snapshot and child.fresh]
        silent = [counters_only(child.snapshot) for child in self._children if child.snapshot and not child.fresh]
        return live + silent + ([self._dead] if self._dead else [])

    async def serve(self) -> None:
        """Serve until SIGTERM or SIGINT, then wait until the children have drained. Raises CannotListen."""
        self._stop = stop_signal()
        async with (
            observing(self._settings, self.snapshots, self._count),
            _refusing(self._reserved, self._is_served),
        ):
            for _ in range(self._count):
                self._keep()
            replacing = asyncio.create_task(self._replace_on_sighup())
            await self._stop.wait()
            replacing.cancel()
            await self._end()
        if self._failed:
            raise CannotListen

    async def _end(self) -> None:
        """Let all children finish their sessions and end, and kill those that do not."""
        for child in self._children:
            child.retire()
        keepers = asyncio.gather(*self._keepers)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(keepers), END_S)
        for child in self._children:
            log.error("gate process does not end; killing it", pid=child.process.pid)
            child.process.kill()
        await keepers

    def _is_served(self) -> bool:
        """Return whether a child accepts calls, or may soon do so because no child has reported yet."""
        if any(child.snapshot for child in self._children):
            return any(child.fresh and child.accepting for child in self._children)
        return time.monotonic() - self._served_at < START_S

    def _keep(self, *, on_trial: bool = False) -> asyncio.Queue[_Child | None]:
        """Keep one more child running. Return a queue with the result of each start: see `_start`."""
        started = asyncio.Queue[_Child | None]()
        keeper = asyncio.create_task(self._keep_one(started, on_trial=on_trial))
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)
        return started

    async def _keep_one(self, started: asyncio.Queue[_Child | None], *, on_trial: bool) -> None:
        """Run a child, and start another whenever it ends before it is told to; on trial, only if it has accepted."""
        while not self._stop.is_set():
            child = await self._start()
            started.put_nowait(child)
            if not await self._is_needed_again(child, on_trial=on_trial):
                return
            on_trial = False  # From here on the process counts, whether or not the next child ever accepts.
            await asyncio.sleep(RESTART_S)

    async def _is_needed_again(self, child: _Child | None, *, on_trial: bool) -> bool:
        """Wait until a child has ended; return whether another is to be started."""
        if child is None:
            return not on_trial
        code = await self._until_ended(child)
        if child.retired or self._stop.is_set() or (on_trial and not child.has_accepted):
            return False
        # If the first child cannot serve, then no other can. Later, the others serve meanwhile.
        if code == CANNOT_SERVE and not self._has_served:
            self._failed = True
            self._stop.set()
            return False
        log.error("gate process ended; starting another", pid=child.process.pid, code=code)
        return True

    async def _start(self) -> _Child | None:
        """Start a child; return None, and write a line to the log, if the system cannot start one."""
        fd = self._reserved.fileno()
        # A supervisor's socket has another address than the one in the environment.
        environment = {**os.environ, "DNC_AGI_BIND": self._settings.agi_bind}
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agi_gate", "child", str(fd),
                stdout=asyncio.subprocess.PIPE, pass_fds=[fd], env=environment,
            )  # fmt: skip
        except OSError as error:  # No memory or descriptor is left, or an update has moved the interpreter.
            log.error("gate process cannot be started", trouble=str(error))
            return None
        child = _Child(process)
        self._children.add(child)
        if self._stop.is_set():  # The signal came while the child was being started.
            child.retire()
        return child

    async def _until_ended(self, child: _Child) -> int:
        """Read the reports of a child until it ends, and return its exit code."""
        assert child.process.stdout is not None  # noqa: S101 - opened as a pipe above
        async for line in child.process.stdout:
            with suppress(ValueError):  # A child that is killed, or finds the pipe full, may write a part of a line.
                child.snapshot, child.reported_at = json.loads(line), time.monotonic()
            if child.has_accepted:
                self._has_served, self._served_at = True, child.reported_at
        code = await child.process.wait()
        self._children.discard(child)
        if child.snapshot:
            self._dead = counters_only(*([self._dead] if self._dead else []), child.snapshot)
        return code

    async def _replace_on_sighup(self) -> None:
        """Replace all children, one after another, at each SIGHUP."""
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
        while True:
            await asked.wait()
            asked.clear()
            replaced = [await self._replace(old) for old in tuple(self._children)]
            log.info("gate processes replaced", processes=sum(replaced), kept=len(replaced) - sum(replaced))

    async def _replace(self, old: _Child) -> bool:
        """Start a successor, and stop `old` when it accepts calls. Return False if it does not: then `old` stays."""
        new = await self._keep(on_trial=True).get()
        if new is None:
            return False
        try:
            async with asyncio.timeout(SUCCEED_S):
                while not new.accepting and new.process.returncode is None:  # noqa: ASYNC110 - it reports by itself
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            log.error("a new gate process does not accept calls; the old one goes on", pid=new.process.pid)
        # If the old process has died meanwhile, its keeper has already replaced it.
        is_needed = new.accepting and old.process.returncode is None
        (old if is_needed else new).retire()
        return new.accepting
