"""Heartbeats, by which the site sees each live gate process and its state.

A heartbeat writes a small key that expires when the heartbeats stop. The link sends it like any question. If one is
lost, no call is affected. With each heartbeat the gate asks Redis whether it would accept the record of a call.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from agi_gate.store.link import Link
from agi_gate.store.questions import Answers
from agi_gate.store.wire import Command, StoreUnavailable
from compliance.redis_connection import error_reply
from compliance.redis_records import GateHeartbeat, heartbeat_value
from compliance.redis_schema import WHOLE, Keys, epoch_ms

UNRECORDED = "record-unavailable"
"""Slug of the doubt that Redis would refuse the record of a call. It is also the reason of such a call."""

HEARTBEAT_S = 2.0
"""Seconds between two heartbeats."""

RETRY_S = 0.1
"""Seconds until the next attempt if there is no connection."""

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
            commands = heartbeat_commands(self._name, self._status(), self._clock(), self._link.keys)
            try:
                answers = await self._link.answers_to(*commands, probe_command(self._link.keys), to_replicas=True)
                self._note(refusal_of(answers))
                await asyncio.sleep(HEARTBEAT_S)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)

    def _note(self, refusal: str) -> None:
        health = self._link.health
        if refusal and not health.unrecorded:
            self._link.notices.note(self, "error", "records refused", trouble=refusal, **self._link.where)
        elif health.unrecorded and not refusal:
            self._link.notices.note(self, "info", "records accepted again", **self._link.where)
        health.unrecorded = refusal

    async def leave(self) -> None:
        """Remove this process from Redis, so that the site does not report it as missing."""
        keys = self._link.keys
        with suppress(StoreUnavailable):
            await self._link.answers_to(("ZREM", keys.gates, self._name), ("DEL", keys.gate(self._name)))


def probe_command(keys: Keys = WHOLE) -> Command:
    """Return an append that Redis accepts or refuses like the record of a call, but that writes nothing."""
    return ("XADD", keys.writing_probe, "NOMKSTREAM", "*", "probe", "1")


def refusal_of(answers: Answers) -> str:
    """Return why Redis would refuse the record of a call, from the answers to the probe; empty if it would not."""
    # Redis answers MISCONF if it cannot write its files, OOM at maxmemory, READONLY on a replica, and NOREPLICAS if
    # `min-replicas-to-write` is not reached.
    reply = answers.replies[-1]
    if isinstance(reply, Exception):
        return f"{UNRECORDED}: {error_reply(reply)}"
    return "" if answers.replicated else f"{UNRECORDED}: too few replicas of Redis have the records"


def heartbeat_commands(name: str, heartbeat: GateHeartbeat, at: datetime, keys: Keys = WHOLE) -> Sequence[Command]:
    """Return the commands of one heartbeat. They also remove the names of gates that have been silent for an hour."""
    now_ms = epoch_ms(at)
    return (
        ("SET", keys.gate(name), heartbeat_value(heartbeat), "PX", SILENT_MS),
        ("ZADD", keys.gates, now_ms, name),
        ("ZREMRANGEBYSCORE", keys.gates, "-inf", now_ms - FORGOTTEN_MS),
    )
