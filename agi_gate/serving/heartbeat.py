"""Letting the site know that this gate process lives, and how it is: a small key that goes when it falls silent.

A beat travels over the link as any question does; whatever becomes of it changes no call.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from agi_gate.store.link import Link
from agi_gate.store.wire import Command, StoreUnavailable
from compliance.redis_schema import WHOLE, GateBeat, Keys, beat_value, epoch_ms

BEAT_S = 2.0

SILENT_MS = 7_000
"""How long the last beat of a gate that falls silent is kept."""

FORGOTTEN_MS = 3_600_000
"""How long the name of a gate that fell silent without a word is kept."""


class Heartbeat:
    """The beat of the gate process `name`. `look` tells how it is; `clock` gives aware UTC."""

    def __init__(self, link: Link, name: str, look: Callable[[], GateBeat], clock: Callable[[], datetime]) -> None:
        self._link, self._name, self._look, self._clock = link, name, look, clock

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self._say(beat(self._name, self._look(), self._clock(), self._link.keys))
            await asyncio.sleep(BEAT_S)

    async def leave(self) -> None:
        """Say that this process ends, so that nobody misses it."""
        keys = self._link.keys
        await self._say((("ZREM", keys.gates, self._name), ("DEL", keys.gate(self._name))))

    async def _say(self, commands: Sequence[Command]) -> None:
        with suppress(StoreUnavailable):
            await self._link.answers_to(*commands)


def beat(name: str, how: GateBeat, at: datetime, keys: Keys = WHOLE) -> Sequence[Command]:
    """Spell one beat; with it go the names of gates that nobody heard of for long."""
    now_ms = epoch_ms(at)
    return (
        ("SET", keys.gate(name), beat_value(how), "PX", SILENT_MS),
        ("ZADD", keys.gates, now_ms, name),
        ("ZREMRANGEBYSCORE", keys.gates, "-inf", now_ms - FORGOTTEN_MS),
    )
