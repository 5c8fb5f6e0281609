"""Generations that are over, taken out of Redis without anybody noticing.

A generation may go when it is neither live nor being built, and never can be again. Its mark goes first: without it
no builder can flip to it any more, not even by a command that was given up for lost and is carried out late. Only
then the state is looked at, and the rest goes unless it has become live after all.
"""

import asyncio
from collections.abc import AsyncIterator

from admin_web.projection.drain import Sides
from admin_web.projection.live import look
from admin_web.projection.store import Store, Wire, words
from admin_web.projection.turn import last_turn
from compliance.redis_schema import generation_of, generation_pattern

GRACE_S = 2.0
"""How long a generation outlives its successor's arrival: longer than the longest deadline of a decision (1 s)."""

SILENT_S = 60.0
"""A builder that was not heard of for so long has died; if it has not, it finds its mark gone and says so."""

KEYS_AT_ONCE = 1_000
"""Keys that one SCAN visits and one UNLINK takes: about half a millisecond in which Redis serves nobody else."""


async def sweep(sides: Sides, *, grace_s: float = GRACE_S) -> int:
    """Take out what earlier generations have left; give how many keys that was.

    What becomes live or is begun during the grace is either kept or newer than all that goes.
    Raises StoreUnavailable, DatabaseUnavailable.
    """
    async with sides.database.read() as session:
        turn = await last_turn(session, sides.row)
    async with sides.store.wire() as wire:
        state = (await look(wire)).state
    building = turn.building if turn.is_built(sides.now(), silent_s=SILENT_S) else None
    keep = {turn.generation, building, state.generation if state else None}
    await asyncio.sleep(grace_s)
    async with sides.store.wire() as wire:
        return await _take_out(wire, generation_pattern(), max(turn.generation, turn.building or 0), keep)


async def discard(store: Store, generation: int) -> int:
    """Take out one generation that is not live; give how many keys that was. Raises StoreUnavailable."""
    async with store.wire() as wire:
        return await _take_out(wire, generation_pattern(generation), generation, set())


async def _take_out(wire: Wire, pattern: str, newest: int, keep: set[int | None]) -> int:
    """Unlink the keys of the generations up to `newest` but those in `keep`; the marks first."""
    condemned: set[int] = set()
    taken = 0
    async for keys in scan(wire, pattern):
        found = [(key, generation) for key in keys if (generation := generation_of(key)) is not None]
        for generation in {generation for _, generation in found if generation <= newest} - condemned - keep:
            await wire.ask(("UNLINK", wire.keys.build(generation)))
            state = (await look(wire)).state
            (keep if state is not None and state.generation == generation else condemned).add(generation)
        doomed = [key for key, generation in found if generation in condemned]
        await wire.unlink(doomed)
        taken += len(doomed)
    return taken


async def scan(wire: Wire, pattern: str) -> AsyncIterator[list[str]]:
    """Give all keys that match, some at a time. Keys that come or go meanwhile may be missing, some come twice."""
    cursor, over = b"0", False
    while not over:
        (reply,) = await wire.ask(("SCAN", cursor, "MATCH", pattern, "COUNT", KEYS_AT_ONCE))
        cursor, keys = (words(reply[:1])[0], reply[1]) if isinstance(reply, list) else (b"0", [])
        over = cursor == b"0"
        yield [key.decode("ascii", "replace") for key in words(keys)]
