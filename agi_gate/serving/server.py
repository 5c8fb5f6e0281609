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

import structlog

from agi_gate.call_log import CallLog
from agi_gate.fastagi.listener import Connection, Listener
from agi_gate.fastagi.session import Session, Switchboard
from agi_gate.metrics import Metrics, Snapshot
from agi_gate.serving.backing import Backing, Common, OneRedis, utc_now
from agi_gate.serving.cluster import ManyShards
from agi_gate.settings import GateSettings
from compliance.redis_schema import GateBeat
from compliance.redis_url import Cluster, read_redis_url

BACKLOG = 1024
"""Connections that the kernel holds while the gate is busy."""

DRAIN_S = 3.0
"""How long a stopping gate waits for conversations and records; longer than any call may take."""

log = structlog.get_logger()


class Server:
    """One gate: sessions, and what stands behind them, wired once."""

    def __init__(self, settings: GateSettings, name: str) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._backing = backing(Common(settings, name, self._how_it_is))
        self._board = Switchboard(
            self._backing.screenings,
            self._metrics,
            CallLog(sys.stderr if logs_calls(settings.log_level) else None),
            peer_s=settings.peer_ms / 1000,
        )
        self._started_at = utc_now()

    def snapshot(self) -> Snapshot:
        """Give the counts of this process: see `metrics.Metrics.snapshot`."""
        return self._metrics.snapshot(self._backing, self._backing)

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Answer calls on `listener` while the context lasts; leave it only when every conversation is over."""
        allow_many_connections()
        leave_the_past_alone()
        async with asyncio.TaskGroup() as tasks:  # If the link ends by a fault, so does the process.
            working = tasks.create_task(self._backing.run())
            door = Listener(listener, self._converse)
            door.open()
            try:
                yield
            finally:
                door.shut()
                await self._drain()
                door.remove()
                await self._backing.leave()
                working.cancel()

    def _how_it_is(self) -> GateBeat:
        health = self._backing.health
        return GateBeat(
            listens=self._settings.agi_bind,
            started_at=self._started_at,
            generation=health.state.generation if health.state else 0,
            doubt=health.doubt,
            calls=self._metrics.calls.total(),
            unrecorded=self._backing.backlog,
            dropped=self._backing.dropped,
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
                while self._board.sessions or self._backing.backlog:  # noqa: ASYNC110 - two counts, watched once in a lifetime
                    await asyncio.sleep(0.01)
        except TimeoutError:
            undone = {"conversations": len(self._board.sessions), "records": self._backing.backlog}
            log.error("stopped with work undone", **undone)
        for session in tuple(self._board.sessions):
            session.refuse("stopping")


def backing(common: Common) -> Backing:
    """Wire what the settings name: one Redis, or the shards of a cluster. Nothing is opened yet."""
    cluster = read_redis_url(common.settings.redis)
    return ManyShards(common, cluster) if isinstance(cluster, Cluster) else OneRedis.of(common)


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
