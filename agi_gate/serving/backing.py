"""What stands behind a gate: one Redis with its link, its log of decisions and the gate that asks it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from agi_gate.decision_log import DecisionLog
from agi_gate.gate import Gate, Numbering
from agi_gate.screening import Beginning, Screenings
from agi_gate.serving.heartbeat import Heartbeat
from agi_gate.settings import GateSettings
from agi_gate.store.facts import FactStore
from agi_gate.store.foreseen import LOAD
from agi_gate.store.health import Health
from agi_gate.store.link import Link
from compliance.redis_schema import GateBeat

PATIENCE = 4
"""Deadlines after which a silent Redis is given up and connected to again. A shorter silence, a slow disk say, costs
the calls that waited for it, and no others."""


def utc_now() -> datetime:
    """Tell the time: aware UTC."""
    return datetime.now(UTC)


class Backing(Protocol):
    """Whatever a server screens its calls with."""

    @property
    def screenings(self) -> Beginning:
        """Begins them."""

    @property
    def health(self) -> Health:
        """How it stands with Redis."""

    @property
    def backlog(self) -> int:
        """How many decisions wait to be recorded."""

    @property
    def dropped(self) -> int:
        """How many never were."""

    async def run(self) -> None:
        """Work until cancelled."""

    async def leave(self) -> None:
        """Say that this process ends; it goes on working until `run` is cancelled."""


@dataclass(frozen=True, slots=True)
class Common:
    """What all that stands behind a gate has in common: the settings, its name, and how it is."""

    settings: GateSettings
    name: str
    look: Callable[[], GateBeat]

    @property
    def deadline_s(self) -> float:
        """How long a decision may take."""
        return self.settings.deadline_ms / 1000

    @property
    def timeout_s(self) -> float:
        """How long a silent Redis is waited for."""
        return self.deadline_s * PATIENCE

    @property
    def numbering(self) -> Numbering:
        """How the PBX writes numbers."""
        return Numbering(self.settings.region, self.settings.prefix)


class OneRedis:
    """A Redis, behind Sentinel or not, or one shard of a cluster."""

    def __init__(self, common: Common, link: Link, store: FactStore) -> None:
        self.link, self.log = link, DecisionLog(link)
        gate = Gate(store, self.log, common.numbering, name=common.name, clock=utc_now)
        self.screenings = Screenings(gate, link, deadline_s=common.deadline_s)
        self._heartbeat = Heartbeat(link, common.name, common.look, utc_now)
        self._beating: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, common: Common) -> "OneRedis":
        """Wire the Redis of the settings. Nothing is opened yet."""
        settings = common.settings
        link = Link(settings.redis, timeout_s=common.timeout_s, replicas=settings.replicas, opening=[LOAD])
        return cls(common, link, FactStore(link))

    @property
    def health(self) -> Health:
        """How it stands with Redis."""
        return self.link.health

    @property
    def backlog(self) -> int:
        """How many decisions wait to be recorded."""
        return self.log.backlog

    @property
    def dropped(self) -> int:
        """How many never were."""
        return self.log.dropped

    async def run(self) -> None:
        """Keep the link, record what waits, and beat, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.link.run())
            tasks.create_task(self.log.run())
            self._beating = tasks.create_task(self._heartbeat.run())

    async def leave(self) -> None:
        """Say that this process ends."""
        if self._beating:
            self._beating.cancel()
        await self._heartbeat.leave()
