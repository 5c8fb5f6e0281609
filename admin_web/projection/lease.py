"""The lease: how long the gate may rely on the projection after the last sign that the worker keeps it up to date."""

import os
import socket
from collections.abc import Awaitable, Callable

from admin_web.projection.drain import Sides
from admin_web.projection.live import read_live
from admin_web.projection.turn import last_turn
from admin_web.projection.wire import Command
from compliance.redis_schema import Keys


def lease_command(keys: Keys, since_ms: int, lease_s: float) -> Command:
    """Return the command that sets the lease.

    It ends `lease_s` seconds after `since_ms` (Redis's clock), or never if 0.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}"
    ends = ("PXAT", since_ms + int(lease_s * 1000)) if lease_s else ()
    return "SET", keys.lease, holder, *ends


async def renew_lease(sides: Sides, drain: Callable[[], Awaitable[object]], lease_s: float) -> None:
    """Extend the lease if Redis holds the projection on record and every change committed so far is in force.

    The lease counts from the moment before the drain, by Redis's clock. All changes committed before that moment are in
    force. So calls stop at most `lease_s` seconds after it, even if the command arrives late. Raises RedisUnavailable
    or a subclass, or DatabaseUnavailable.
    """
    since_ms = await verified(sides)
    await drain()
    async with sides.store.wire() as wire:
        await wire.ask(lease_command(wire.keys, since_ms, lease_s))


async def verified(sides: Sides) -> int:
    """Return Redis's time in milliseconds. Raises ProjectionLost unless Redis holds the projection on record."""
    async with sides.store.wire() as wire:
        live = await read_live(wire)
    async with sides.database.read() as session:
        turn = await last_turn(session, sides.row)
    if turn.building is None or live.doubt(turn.building):
        live.require(turn.generation)
    return live.at_ms
