"""One gate process on a listening socket: accept, answer, and drain at the end."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from agi_gate.call_log import CallLog
from agi_gate.fastagi.listener import Connection, Listener
from agi_gate.fastagi.session import OpenSessions, Session
from agi_gate.metrics import Metrics, Snapshot, not_accepting
from agi_gate.peers import Peers
from agi_gate.serving.backend import Backend, ProcessContext, RedisBackend, utc_now
from agi_gate.serving.cluster import ClusterBackend
from agi_gate.serving.start import first_look, listens
from agi_gate.settings import GateSettings
from compliance.listening import CannotListen, start_to_listen
from compliance.open_files import allow_many_files, room_for
from compliance.redis_masters import Cluster
from compliance.redis_records import GateHeartbeat
from compliance.redis_url import read_redis_url

# The kernel caps this value at net.core.somaxconn (listen(2)). It does not refuse connections beyond the limit, so
# Asterisk waits for such a connection, up to 2 s (res_agi.c, MAX_AGI_CONNECT).
BACKLOG = 1024
"""Maximum number of connections that the kernel queues until the gate accepts them."""

DRAIN_S = 3.0
"""Maximum time in seconds that a stopping gate waits for sessions and records. It is longer than any screening."""

log = structlog.get_logger()


class Server:
    """The parts of one gate process: its sessions, and the backend that screens their calls."""

    def __init__(self, settings: GateSettings, name: str) -> None:
        self._settings = settings
        self._metrics = Metrics()
        allow_many_files()
        self._most = room_for(settings.most_conversations)
        # If the system allows fewer connections than the settings, one peer must not take all of them.
        few = self._most < settings.most_conversations
        most_of_peer = settings.most_conversations_of_peer
        self._peers = Peers(settings.networks, min(most_of_peer, self._most // 2) if few else most_of_peer)
        self._backend = backend_for(ProcessContext(settings, name, self._heartbeat))
        self._open = OpenSessions(
            self._backend.screener,
            self._metrics,
            CallLog(sys.stderr if logs_calls(settings.log_level) else None),
            peer_s=settings.peer_ms / 1000,
        )
        self._started_at = utc_now()
        self.accepting = False

    def snapshot(self) -> Snapshot:
        """Return the counts of this process: see `metrics.Metrics.snapshot`."""
        snapshot = self._metrics.snapshot(self._backend, self._backend)
        return snapshot if self.accepting else not_accepting(snapshot)

    @asynccontextmanager
    async def serving(self, reserved: socket.socket) -> AsyncIterator[None]:
        """Answer calls on the socket `reserved` until the context ends, then drain sessions and records.

        Calls are accepted as soon as Redis can be queried. Raises CannotListen.
        """
        tune_garbage_collector()
        # If a fault ends the backend, the task group ends the process, which is then restarted. Without the group the
        # process would keep running and block every call.
        try:
            async with asyncio.TaskGroup() as tasks:
                working = tasks.create_task(self._backend.run())
                listener = Listener(reserved, self._session_for)
                opening = tasks.create_task(self._open_port(reserved, listener))
                try:
                    yield
                finally:
                    opening.cancel()
                    self.accepting = False
                    listener.stop_accepting()
                    await self._drain()
                    listener.close()
                    await self._backend.leave()
                    await self._keep()
                    working.cancel()
        except ExceptionGroup as faults:
            if cannot := faults.subgroup(CannotListen):
                raise cannot.exceptions[0] from None
            raise

    async def _open_port(self, reserved: socket.socket, listener: Listener) -> None:
        """Start to accept calls after the first look at Redis."""
        await first_look(lambda: self._backend.health)
        if not listens(reserved):
            start_to_listen("DNC_AGI_BIND", self._settings.agi_bind, reserved, BACKLOG)
        listener.start()
        self.accepting = True
        log.info("gate serves", agi=self._settings.agi_bind)

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
        """Return a session for a new connection; None to close it: it is from no PBX of ours, or there are too many."""
        # The gate closes the connection at once, so that the PBX continues with its preset BLOCK, or with the next
        # gate. If the gate queued the connection instead, the call would wait until its time limit, and memory would
        # grow.
        peer = self._peers.of(connection.peer)
        full = len(self._open.sessions) >= self._most
        if why := self._peers.refusal(peer) or ("too-many" if full else ""):
            self._metrics.refused_peers[why] += 1
            return None
        return Session(self._open, connection, peer)

    async def _drain(self) -> None:
        """Wait until there are no sessions, screenings and backlog, at most `DRAIN_S`. Then close the sessions left."""
        backend = self._backend
        try:
            async with asyncio.timeout(DRAIN_S):
                # The screening of a call outlives its session if the caller hangs up, and its decision goes on record.
                while self._open.sessions or backend.under_way or backend.backlog:  # noqa: ASYNC110 - once per process
                    await asyncio.sleep(0.01)
        except TimeoutError:
            undone = {"conversations": len(self._open.sessions), "screenings": backend.under_way}
            if any(undone.values()):
                log.error("stopped with work undone", **undone)
        for session in tuple(self._open.sessions):
            session.refuse("stopping")

    async def _keep(self) -> None:
        """Write the decisions that Redis has not accepted to disk, for the next gate."""
        if not self._backend.backlog:
            return
        await self._backend.keep()
        records, kept = self._backend.backlog, self._backend.on_disk
        if kept < records:
            log.error("stopped with work undone", records=records - kept)
        if kept:
            log.warning("decisions wait on disk for the next gate", records=kept)


def backend_for(process: ProcessContext) -> Backend:
    """Build the backend for the settings: over one Redis, or over the shards of a cluster. It connects in `run`."""
    cluster = read_redis_url(process.settings.redis)
    return ClusterBackend(process, cluster) if isinstance(cluster, Cluster) else RedisBackend.of(process)


def logs_calls(level: str) -> bool:
    """Return whether a log of `level` contains the lines of calls, whose level is INFO."""
    return logging.getLevelNamesMapping()[level] <= logging.INFO


def tune_garbage_collector() -> None:
    """Exclude all objects that exist now from garbage collection, and let it run less often."""
    # A call leaves no reference cycles, so its objects are freed when it ends. With the default threshold of 700
    # objects a collection would run every few calls, and a full one would visit every object of the imported modules.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def stop_signal(*more: signal.Signals) -> asyncio.Event:
    """Return an event that SIGTERM, SIGINT and the signals `more` set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, *more):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def gate_name() -> str:
    """Return the name of this process for decision records and heartbeats: its host name and process id."""
    return f"{socket.gethostname()[:48]}:{os.getpid()}"
