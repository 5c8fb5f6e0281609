"""The lease: how long the gate may rely on a projection before it has to hear that it is still kept current."""

import os
import socket
from collections.abc import Awaitable, Callable

from admin_web.projection.drain import Sides
from admin_web.projection.live import look
from admin_web.projection.store import Command
from admin_web.projection.turn import last_turn
from compliance.redis_schema import Keys


def spell_lease(keys: Keys, since_ms: int, lease_s: float) -> Command:
    """Spell a lease that ends `lease_s` seconds after `since_ms` (Redis's clock); 0: one that never ends."""
    holder = f"{socket.gethostname()}:{os.getpid()}"
    ends = ("PXAT", since_ms + int(lease_s * 1000)) if lease_s else ()
    return "SET", keys.lease, holder, *ends


async def renew_lease(sides: Sides, drain: Callable[[], Awaitable[object]], lease_s: float) -> None:
    """Extend the lease, if Redis holds the projection on record and every change committed before now is in force.

    It is counted from the moment at which that was made sure of, by Redis's own clock: however late the command
    arrives, calls stop at the latest `lease_s` seconds after the last moment at which nothing was outstanding.
    Raises StoreUnavailable or one of its kinds, DatabaseUnavailable.
    """
    since_ms = await verified(sides)
    await drain()
    async with sides.store.wire() as wire:
        await wire.ask(spell_lease(wire.keys, since_ms, lease_s))


async def verified(sides: Sides) -> int:
    """Give Redis's time in milliseconds. Raises ProjectionLost unless Redis holds the projection on record."""
    async with sides.store.wire() as wire:
        live = await look(wire)
    async with sides.database.read() as session:
        turn = await last_turn(session, sides.row)
    if turn.building is None or live.doubt(turn.building):
        live.require(turn.generation)
    return live.at_ms
