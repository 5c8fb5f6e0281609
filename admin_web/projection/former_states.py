"""The states that a shard holds under former names: its keys have the lowest slot of the shard, and slots move."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.history import judge
from admin_web.projection.live import LiveProjection, SlotsLeft
from admin_web.projection.marks import FOREIGN, read_written
from admin_web.projection.turn import first_slots, row_of
from admin_web.projection.wire import Wire, words
from compliance.redis_schema import STATE_FIELDS, Keys, read_counts, read_state, read_versions


def former_keys(live: LiveProjection, slots: Sequence[int]) -> list[Keys]:
    """Return the keys of former states. `slots` are all lowest slots that a shard has ever had."""
    shard = live.shard
    return [] if shard is None else [Keys(slot) for slot in slots if slot != shard.first and shard.owns(slot)]


async def former_states(wire: Wire, live: LiveProjection, slots: Sequence[int]) -> list[tuple[int, LiveProjection]]:
    """Return each former state with its row in SQL, in the form of the present one. Raises RedisUnavailable."""
    all_keys = former_keys(live, slots)
    replies = await wire.ask(*(("HGETALL", keys.state) for keys in all_keys)) if all_keys else []
    found: list[tuple[int, LiveProjection]] = []
    for keys, reply in zip(all_keys, replies, strict=True):
        flat = words(reply)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        state = read_state([fields.get(name.encode()) for name in STATE_FIELDS])
        versions, counts, written = read_versions(fields), read_counts(fields), read_written(fields)
        former = replace(live, state=state, versions=versions, counts=counts, written=written)
        found.append((row_of(keys.first_slot), former))
    return found


async def remove_former_states(session: AsyncSession, wire: Wire, live: LiveProjection) -> None:
    """Remove the states under former names, in a turn, before a build.

    No process keeps them up to date, but a gate that has not yet noticed the move of the slots could trust them. Raises
    SlotsLeft if one of them is of another history of the database, because what it blocked would be lost.
    """
    slots = await first_slots(session)
    for row, former in await former_states(wire, live, slots):
        if await judge(session, row, former) == FOREIGN:
            raise SlotsLeft(former.written.mark, wire.keys.first_slot)
    await wire.unlink([key for keys in former_keys(live, slots) for key in (keys.state, keys.lease)])
