"""One gate process on a listening socket: accept, answer, and drain at the end."""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from agi_gate.call_log import CallLog
from agi_gate.fastagi.listener import Connection, Listener
from agi_gate.fastagi.session import OpenSessions, Session
from agi_gate.metrics import Metrics, Snapshot
from agi_gate.serving.backend import Backend, ProcessContext, RedisBackend, utc_now
from agi_gate.serving.cluster import ClusterBackend
from agi_gate.settings import GateSettings
from compliance.redis_records import GateHeartbeat
from compliance.redis_url import Cluster, read_redis_url

# The kernel caps it at net.core.somaxconn (listen(2)). Connections beyond it are not refused: Asterisk's connect would
# wait, up to 2 s (res_agi.c, MAX_AGI_CONNECT).
BACKLOG = 1024
"""Connections that the kernel holds until the gate accepts them."""

DRAIN_S = 3.0
"""Seconds that a stopping gate waits for sessions and records at most; longer than any call may take."""

log = structlog.get_logger()


class Server:
    """The parts of one gate process, wired once: the sessions, and the backend that screens their calls."""

    def __init__(self, settings: GateSettings, name: str) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._backend = backend_for(ProcessContext(settings, name, self._heartbeat))
        self._open = OpenSessions(
            self._backend.screener,
            self._metrics,
            CallLog(sys.stderr if logs_calls(settings.log_level) else None),
            peer_s=settings.peer_ms / 1000,
        )
        self._started_at = utc_now()

    def snapshot(self) -> Snapshot:
        """Return the counts of this process: see `metrics.Metrics.snapshot`."""
        return self._metrics.snapshot(self._backend, self._backend)

    @asynccontextmanager
    async def serving(self, listening: socket.socket) -> AsyncIterator[None]:
        """Answer calls on `listening` while the context lasts; on exit, drain sessions and records."""
        allow_many_connections()
        tune_garbage_collector()
        # A task group: if the link fails by a fault, the process must end and be restarted, not block for ever.
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(self._backend.run())
            listener = Listener(listening, self._session_for)
            listener.start()
            try:
                yield
            finally:
                listener.stop_accepting()
                await self._drain()
                listener.close()
                await self._backend.leave()
                working.cancel()

    def _heartbeat(self) -> GateHeartbeat:
        health = self._backend.health
        return GateHeartbeat(
            listens=self._settings.agi_bind,
            started_at=self._started_at,
            generation=health.state.generation if health.state else 0,
            doubt=health.doubt,
            calls=self._metrics.calls.total(),
            unrecorded=self._backend.backlog,
            dropped=self._backend.dropped,
        )

    def _session_for(self, connection: Connection) -> Session | None:
        """Return a session for a new connection; None, which closes it, above the limit of the settings."""
        # When it is closed at once, the PBX continues with its preset BLOCK, or with the next gate. In a queue it would
        # wait for its time limit, and memory would grow.
        if len(self._open.sessions) >= self._settings.most_conversations:
            self._metrics.refused_peers["too-many"] += 1
            return None
        return Session(self._open, connection)

    async def _drain(self) -> None:
        """Wait until sessions and backlog are empty, for `DRAIN_S` at most; then close the sessions that are left."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while self._open.sessions or self._backend.backlog:  # noqa: ASYNC110 - two counts, once per process
                    await asyncio.sleep(0.01)
        except TimeoutError:
            undone = {"conversations": len(self._open.sessions), "records": self._backend.backlog}
            log.error("stopped with work undone", **undone)
        for session in tuple(self._open.sessions):
            session.refuse("stopping")


def backend_for(process: ProcessContext) -> Backend:
    """Build the backend that the settings name: one Redis, or the shards of a cluster. Nothing is opened yet."""
    cluster = read_redis_url(process.settings.redis)
    return ClusterBackend(process, cluster) if isinstance(cluster, Cluster) else RedisBackend.of(process)


def logs_calls(level: str) -> bool:
    """Return whether calls are logged at `level`: their lines have the level INFO."""
    return logging.getLevelNamesMapping()[level] <= logging.INFO


def allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard one."""
    # The usual soft limit is 1,024: fewer than `DNC_MOST_CONVERSATIONS`, and than a busy PBX may open.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def tune_garbage_collector() -> None:
    """Exclude all objects of the start from garbage collection, and collect seldom."""
    # A call leaves no reference cycles: its objects are freed when it ends. The default threshold, 700 objects, would
    # start a collection every few calls, and a full one would visit every object of the imported modules.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class CannotListen(Exception):
    """The gate cannot listen on an address; the message names it."""


def listen(bind: str) -> socket.socket:
    """Open a listening socket on `HOST:PORT`. Raises CannotListen."""
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host.strip("[]"), int(port)), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {bind}: {os.strerror(error.errno or 0)}") from None
    listener.setblocking(False)
    return listener


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def gate_name() -> str:
    """Return the name of this process in decision records and heartbeats: host name and process id."""
    return f"{socket.gethostname()[:48]}:{os.getpid()}"
