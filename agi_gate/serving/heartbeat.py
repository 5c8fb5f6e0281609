"""Heartbeats, by which the site sees each live gate process and its state.

A heartbeat writes a small key that expires when the heartbeats stop. The link sends it like any question. If one is
lost, no call is affected.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from agi_gate.store.link import Link
from agi_gate.store.wire import Command, StoreUnavailable
from compliance.redis_records import GateHeartbeat, heartbeat_value
from compliance.redis_schema import WHOLE, Keys, epoch_ms

HEARTBEAT_S = 2.0
"""Seconds between two heartbeats."""

SILENT_MS = 7_000
"""Milliseconds for which Redis keeps the last heartbeat. A gate counts as silent only after three lost heartbeats."""

FORGOTTEN_MS = 3_600_000
"""Milliseconds for which Redis keeps the name of a gate that ended without `leave`."""


class HeartbeatSender:
    """Sends the heartbeats of the gate process `name`. `status` returns the next one; `clock` returns aware UTC."""

    def __init__(
        self, link: Link, name: str, status: Callable[[], GateHeartbeat], clock: Callable[[], datetime]
    ) -> None:
        self._link, self._name, self._status, self._clock = link, name, status, clock

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            await self._send(heartbeat_commands(self._name, self._status(), self._clock(), self._link.keys))
            await asyncio.sleep(HEARTBEAT_S)

    async def leave(self) -> None:
        """Remove this process from Redis, so that the site does not report it as missing."""
        keys = self._link.keys
        await self._send((("ZREM", keys.gates, self._name), ("DEL", keys.gate(self._name))))

    async def _send(self, commands: Sequence[Command]) -> None:
        with suppress(StoreUnavailable):
            await self._link.answers_to(*commands)


def heartbeat_commands(name: str, heartbeat: GateHeartbeat, at: datetime, keys: Keys = WHOLE) -> Sequence[Command]:
    """Return the commands of one heartbeat. They also remove the names of gates that have been silent for an hour."""
    now_ms = epoch_ms(at)
    return (
        ("SET", keys.gate(name), heartbeat_value(heartbeat), "PX", SILENT_MS),
        ("ZADD", keys.gates, now_ms, name),
        ("ZREMRANGEBYSCORE", keys.gates, "-inf", now_ms - FORGOTTEN_MS),
    )
