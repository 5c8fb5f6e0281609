"""Removes obsolete generations from Redis while it serves calls.

A generation may be removed when it is neither live nor being built, and can never become so again. Its build mark is
removed first: without the mark no builder can flip to it, not even by a flip that Redis executes late. Only then is the
state read. The rest of the generation is removed unless the state names it as live.
"""

import asyncio
from collections.abc import AsyncIterator

from admin_web.projection.drain import Sides
from admin_web.projection.live import read_live
from admin_web.projection.store import Store
from admin_web.projection.turn import last_turn
from admin_web.projection.wire import Wire, words
from compliance.redis_schema import generation_of, generation_pattern

GRACE_S = 2.0
"""Seconds that a generation is kept after the flip to the next: more than the longest deadline of a decision (1 s)."""

SILENT_S = 60.0
"""Seconds without a heartbeat after which a builder is considered dead. If the builder is alive after all, it finds its
mark gone and stops.
"""

KEYS_AT_ONCE = 1_000
"""Keys per SCAN and per UNLINK. Each command takes about half a millisecond, during which Redis serves no other client.
"""


async def sweep(sides: Sides, *, grace_s: float | None = None) -> int:
    """Remove the keys of earlier generations after a grace period of `grace_s` seconds, by default `GRACE_S`.

    Returns how many keys there were.

    A generation that becomes live during the grace period is kept. A generation that a rebuild begins during the grace
    period is kept too, because its number is higher than those of the removed generations. A shard whose slots have
    moved is left alone until it is rebuilt: it may hold numbers of another shard that are not recovered yet.

    Raises RedisUnavailable, DatabaseUnavailable.
    """
    async with sides.database.read() as session:
        turn = await last_turn(session, sides.row)
    async with sides.store.wire() as wire:
        live = await read_live(wire)
    if live.had_other_slots:
        return 0
    building = turn.building if turn.is_built(sides.now(), silent_s=SILENT_S) else None
    keep = {turn.generation, building, live.state.generation if live.state else None}
    await asyncio.sleep(GRACE_S if grace_s is None else grace_s)
    async with sides.store.wire() as wire:
        return await _unlink_generations(wire, generation_pattern(), max(turn.generation, turn.building or 0), keep)


async def discard(store: Store, generation: int) -> int:
    """Remove one generation that is not live. Returns how many keys it had. Raises RedisUnavailable."""
    async with store.wire() as wire:
        return await _unlink_generations(wire, generation_pattern(generation), generation, set())


async def _unlink_generations(wire: Wire, pattern: str, newest: int, keep: set[int | None]) -> int:
    """Unlink the keys of the generations up to `newest`, except those in `keep`; build marks first."""
    obsolete: set[int] = set()
    unlinked = 0
    async for keys in scan(wire, pattern):
        found = [(key, generation) for key in keys if (generation := generation_of(key)) is not None]
        for generation in {generation for _, generation in found if generation <= newest} - obsolete - keep:
            await wire.ask(("UNLINK", wire.keys.build(generation)))
            state = (await read_live(wire)).state
            (keep if state is not None and state.generation == generation else obsolete).add(generation)
        unlinking = [key for key, generation in found if generation in obsolete]
        await wire.unlink(unlinking)
        unlinked += len(unlinking)
    return unlinked


async def scan(wire: Wire, pattern: str) -> AsyncIterator[list[str]]:
    """Yield all keys that match, in batches.

    A key may be yielded twice. A key that is created or deleted during the scan may be missing (SCAN, "Scan
    guarantees").
    """
    cursor, over = b"0", False
    while not over:
        (reply,) = await wire.ask(("SCAN", cursor, "MATCH", pattern, "COUNT", KEYS_AT_ONCE))
        cursor, keys = (words(reply[:1])[0], reply[1]) if isinstance(reply, list) else (b"0", [])
        over = cursor == b"0"
        yield [key.decode("ascii", "replace") for key in words(keys)]
