"""Accept, answer, drain: one gate process on a listening socket that it is given."""

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
from datetime import UTC, datetime

import structlog

from agi_gate.call_log import CallLog
from agi_gate.decision_log import DecisionLog
from agi_gate.door import Connection, Door
from agi_gate.gate import Gate, Numbering
from agi_gate.heartbeat import Heartbeat
from agi_gate.link import Link
from agi_gate.metrics import Metrics, Snapshot
from agi_gate.screening import Screenings
from agi_gate.session import Session, Switchboard
from agi_gate.settings import GateSettings
from agi_gate.store import Store
from compliance.redis_schema import GateBeat

BACKLOG = 1024
"""Connections that the kernel holds while the gate is busy."""

DRAIN_S = 3.0
"""How long a stopping gate waits for conversations and records; longer than any call may take."""

PATIENCE = 4
"""Deadlines after which a silent Redis is given up and connected to again. A shorter silence, a slow disk say, costs
the calls that waited for it, and no others."""

log = structlog.get_logger()


def utc_now() -> datetime:
    """Tell the time: aware UTC."""
    return datetime.now(UTC)


class Server:
    """One gate: link, store, log, gate, sessions and heartbeat, wired once."""

    def __init__(self, settings: GateSettings, name: str) -> None:
        deadline_s = settings.deadline_ms / 1000
        self._settings = settings
        self._metrics = Metrics()
        self._link = Link(settings.redis, timeout_s=deadline_s * PATIENCE, replicas=settings.replicas)
        self._log = DecisionLog(self._link)
        numbering = Numbering(settings.region, settings.prefix)
        gate = Gate(Store(self._link), self._log, numbering, name=name, clock=utc_now)
        self._board = Switchboard(
            Screenings(gate, self._link, deadline_s=deadline_s),
            self._metrics,
            CallLog(sys.stderr if logs_calls(settings.log_level) else None),
            peer_s=settings.peer_ms / 1000,
        )
        self._heartbeat = Heartbeat(self._link, name, self._how_it_is, utc_now)
        self._started_at = utc_now()

    def snapshot(self) -> Snapshot:
        """Give the counts of this process: see `metrics.Metrics.snapshot`."""
        return self._metrics.snapshot(self._link, self._log)

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Answer calls on `listener` while the context lasts; leave it only when every conversation is over."""
        allow_many_connections()
        leave_the_past_alone()
        async with asyncio.TaskGroup() as tasks:  # If the link ends by a fault, so does the process.
            lasting = [tasks.create_task(self._link.run()), tasks.create_task(self._log.run())]
            beating = tasks.create_task(self._heartbeat.run())
            door = Door(listener, self._converse)
            door.open()
            try:
                yield
            finally:
                door.shut()
                await self._drain()
                door.remove()
                beating.cancel()
                await self._heartbeat.leave()
                for task in lasting:
                    task.cancel()

    def _how_it_is(self) -> GateBeat:
        health = self._link.health
        return GateBeat(
            listens=self._settings.agi_bind,
            started_at=self._started_at,
            generation=health.state.generation if health.state else 0,
            doubt=health.doubt,
            calls=self._metrics.calls.total(),
            unrecorded=self._log.backlog,
            dropped=self._log.dropped,
        )

    def _converse(self, connection: Connection) -> Session | None:
        """Begin a conversation. A peer over the limit has none: the PBX goes on with its preset BLOCK."""
        if len(self._board.sessions) >= self._settings.most_conversations:
            self._metrics.refused_peers["too-many"] += 1
            return None
        return Session(self._board, connection)

    async def _drain(self) -> None:
        """Let conversations and records end by themselves, for `DRAIN_S` at most."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while self._board.sessions or self._log.backlog:  # noqa: ASYNC110 - two counts, watched once in a lifetime
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.error("stopped with work undone", conversations=len(self._board.sessions), records=self._log.backlog)
        for session in tuple(self._board.sessions):
            session.refuse("stopping")


def logs_calls(level: str) -> bool:
    """Tell whether a line of each call is wanted: it is of the level INFO."""
    return logging.getLevelNamesMapping()[level] <= logging.INFO


def allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard one: the usual 1,024 is fewer than a busy PBX can open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def leave_the_past_alone() -> None:
    """Have the garbage collector look only at what comes from now on, and not after every few calls.

    A call leaves no cycles behind: what it took is freed when it is over.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class CannotListen(Exception):
    """A port cannot be listened on; the message names it."""


def listen(bind: str) -> socket.socket:
    """Open the listening socket of `HOST:PORT`. Raises CannotListen."""
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host.strip("[]"), int(port)), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {bind}: {os.strerror(error.errno or 0)}") from None
    listener.setblocking(False)
    return listener


def stop_signal() -> asyncio.Event:
    """Give an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def gate_name() -> str:
    """Name this gate in its records: the host's name, and the process."""
    return f"{socket.gethostname()[:48]}:{os.getpid()}"
