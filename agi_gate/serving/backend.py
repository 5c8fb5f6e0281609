"""The backend of a gate process. It has a link, a decision log and a gate for one Redis, or for each shard."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from agi_gate.decision_log import DecisionLog
from agi_gate.gate import Gate, Numbering
from agi_gate.screening import Screener, Screenings
from agi_gate.serving.heartbeat import HeartbeatSender
from agi_gate.settings import GateSettings
from agi_gate.spool.owner import owner_of
from agi_gate.spool.spool import Spool, opened
from agi_gate.store.facts import FactStore
from agi_gate.store.foreseen import LOAD
from agi_gate.store.health import Health
from agi_gate.store.link import Link
from compliance.redis_records import GateHeartbeat

# A reconnection takes a handshake and blocks all calls in flight, so a short silence (a slow disk) must not cause one.
# During such a silence the gate blocks only the calls whose deadline passes.
PATIENCE = 4
"""The link reconnects after Redis has been silent for this many deadlines of a decision."""


def utc_now() -> datetime:
    """Return the current time, aware UTC."""
    return datetime.now(UTC)


class Backend(Protocol):
    """The part of a gate process behind its sessions."""

    @property
    def screener(self) -> Screener:
        """Screens the calls."""

    @property
    def health(self) -> Health:
        """The health of the link to Redis."""

    @property
    def under_way(self) -> int:
        """The number of screenings that have not ended, also of calls whose caller has hung up."""

    @property
    def backlog(self) -> int:
        """The number of decisions that are not recorded yet."""

    @property
    def dropped(self) -> int:
        """The number of decisions that were lost."""

    @property
    def on_disk(self) -> int:
        """The number of decisions in the backlog that survive the end of this process."""

    async def run(self) -> None:
        """Keep the links to Redis, append the backlog and send heartbeats, until cancelled."""

    async def leave(self) -> None:
        """Announce the end of this process. Everything else continues until `run` is cancelled."""

    async def keep(self) -> None:
        """Write the backlog to disk, because this process ends."""


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """The settings and the name of this gate process, and a function that returns its heartbeat."""

    settings: GateSettings
    name: str
    status: Callable[[], GateHeartbeat]

    @property
    def deadline_s(self) -> float:
        """Time limit for a decision, in seconds."""
        return self.settings.deadline_ms / 1000

    @property
    def timeout_s(self) -> float:
        """Seconds of silence after which the link closes the connection to Redis."""
        return self.deadline_s * PATIENCE

    def spool(self) -> Spool | None:
        """Return a new spool, for one decision log; None if no decision can be kept on disk."""
        settings = self.settings
        return opened(settings.spool, owner_of(settings.redis), settings.spool_mb)

    @property
    def numbering(self) -> Numbering:
        """How the PBX writes numbers."""
        return Numbering(self.settings.region, self.settings.prefix)


class RedisBackend:
    """The backend over one Redis: a single server, a master behind Sentinel, or one shard of a cluster."""

    def __init__(self, process: ProcessContext, link: Link, store: FactStore) -> None:
        self.link, self.log = link, DecisionLog(link, process.spool(), process.name)
        gate = Gate(store, self.log, process.numbering, name=process.name, clock=utc_now)
        self.screener = Screenings(gate, link, deadline_s=process.deadline_s)
        self._heartbeat = HeartbeatSender(link, process.name, process.status, utc_now)
        self._heartbeats: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, process: ProcessContext) -> "RedisBackend":
        """Build the backend for the Redis of the settings. It connects when `run` starts."""
        settings = process.settings
        link = Link(settings.redis, timeout_s=process.timeout_s, replicas=settings.replicas, opening=[LOAD])
        return cls(process, link, FactStore(link))

    @property
    def health(self) -> Health:
        """The health of the link to Redis."""
        return self.link.health

    @property
    def under_way(self) -> int:
        """The number of screenings that have not ended."""
        return self.screener.under_way

    @property
    def backlog(self) -> int:
        """The number of decisions that are not recorded yet."""
        return self.log.backlog

    @property
    def dropped(self) -> int:
        """The number of decisions that were lost."""
        return self.log.dropped

    @property
    def on_disk(self) -> int:
        """The number of decisions in the backlog that survive the end of this process."""
        return self.log.on_disk

    async def run(self) -> None:
        """Keep the link, append the backlog and send heartbeats, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.link.run())
            tasks.create_task(self.log.run())
            self._heartbeats = tasks.create_task(self._heartbeat.run())

    async def leave(self) -> None:
        """Stop the heartbeats and announce the end of this process."""
        if self._heartbeats:
            self._heartbeats.cancel()
        await self._heartbeat.leave()

    async def keep(self) -> None:
        """Write the backlog to disk, because this process ends."""
        await self.log.keep()
