"""The lease: how long the gate may rely on the projection after the last sign that the worker keeps it up to date."""

import os
import socket
from collections.abc import Awaitable, Callable

import structlog

from admin_web.projection.drain import Sides
from admin_web.projection.eviction import HAS_EVICTED, Evictions
from admin_web.projection.history import doubt
from admin_web.projection.incarnation import of_no_server
from admin_web.projection.live import ForeignHistory, LiveProjection, ProjectionLost, StoreUnfit, read_live
from admin_web.projection.marks import FOREIGN, OLDER
from admin_web.projection.turn import last_turn, take_turn
from admin_web.projection.wire import Command, Wire
from compliance.redis_schema import INCARNATION, Keys

log = structlog.get_logger()


def lease_command(keys: Keys, since_ms: int, lease_s: float) -> Command:
    """Return the command that sets the lease.

    It ends `lease_s` seconds after `since_ms` (Redis's clock), or never if 0.
    """
    holder = f"{socket.gethostname()}:{os.getpid()}"
    ends = ("PXAT", since_ms + int(lease_s * 1000)) if lease_s else ()
    return "SET", keys.lease, holder, *ends


async def renew_lease(sides: Sides, drain: Callable[[], Awaitable[object]], lease_s: float) -> Evictions:
    """Extend the lease if Redis holds the projection on record and every change committed so far is in force.

    The lease counts from the moment before the drain, by Redis's clock. All changes committed before that moment are in
    force. So calls stop at most `lease_s` seconds after it, even if the command arrives late. Raises RedisUnavailable
    or a subclass, or DatabaseUnavailable.

    If Redis may evict listed numbers, or may have evicted some, the lease ends at once, because it would outlive them.
    Otherwise return the evictions until now.
    """
    try:
        since_ms = (await verified(sides)).at_ms
        await drain()
        live = await verified(sides)
        async with sides.store.wire() as wire:
            await _note_evictions(wire, live)
            await wire.ask(lease_command(wire.keys, since_ms, lease_s))
        return live.evictions
    except (StoreUnfit, ProjectionLost) as error:
        if isinstance(error, StoreUnfit) or error.why == HAS_EVICTED:
            async with sides.store.wire() as wire:
                await _stop_calls(wire, error)
        raise


async def _stop_calls(wire: Wire, error: StoreUnfit | ProjectionLost) -> None:
    """End the lease, and log why, once. The line comes first, so that a crash in between leaves the reason."""
    (leased,) = await wire.ask(("EXISTS", wire.keys.lease))
    if leased:
        log.error("the lease ends, so calls stop", why=str(error))
    await end_lease(wire)


async def end_lease(wire: Wire) -> None:
    """End the lease, so that the gates block every call from now on. Raises RedisUnavailable."""
    await wire.unlink([wire.keys.lease])


async def withdraw(sides: Sides) -> None:
    """Let the gates block every call until the projection is rebuilt. Raises RedisUnavailable.

    The end of the lease alone would not last: any worker would renew it within a second. So the state names an
    incarnation that no server has. The lease ends first, because a Redis whose memory is full refuses the second write.
    """
    async with sides.store.wire() as wire:
        await end_lease(wire)
        live = await read_live(wire)
        if live.state is not None:
            await wire.ask(("HSET", wire.keys.state, INCARNATION, of_no_server(live.server)))


async def verified(sides: Sides) -> LiveProjection:
    """Return what Redis holds.

    Raises ProjectionLost, StoreUnfit or ForeignHistory unless it is the projection on record.
    """
    async with sides.store.wire() as wire:
        live = await read_live(wire)
    async with sides.database.read() as session:
        why = await doubt(session, sides.row, live, await last_turn(session, sides.row))
    if why == OLDER:  # Another process may have written between the two reads. In a turn none can.
        async with sides.store.wire() as wire, sides.database.write() as session:
            turn = await take_turn(session, sides.row)
            live = await read_live(wire)
            why = await doubt(session, sides.row, live, turn)
    if why == FOREIGN:
        raise ForeignHistory(live.written.mark)
    if why:
        raise live.trouble(why)
    return live


async def _note_evictions(wire: Wire, live: LiveProjection) -> None:
    """Keep the count and the policy with which the projection is still complete."""
    if live.evictions != live.complete_at:
        await wire.ask(("HSET", wire.keys.state, *live.evictions.field))
