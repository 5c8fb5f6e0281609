"""Everything that SQL holds, and everything that a generation in Redis holds, in batches of constant memory."""

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.projection.batches import batches
from admin_web.projection.sweep import scan
from admin_web.projection.truth import LeadOnNumber, Subjects, Truth, all_exchanges, all_overrides, owns
from admin_web.projection.wire import Wire, words
from compliance.cluster import Shard, slot_of
from compliance.facts import LiveOverride
from compliance.numbers import E164
from compliance.redis_schema import generation_pattern, lines_in, listed_of, number_of, override_of

SUBJECTS_AT_ONCE = 5_000
"""Maximum number of subjects in one batch."""

KEYS_AT_ONCE = 50
"""Sets whose members are fetched in one request. A set has at most ten thousand members."""


async def in_sql(session: AsyncSession, at: datetime, shard: Shard | None) -> AsyncGenerator[Truth, None]:
    """Yield everything that SQL holds at `at` (aware UTC), or a shard's part of it, except registries."""
    standing: dict[str, dict[E164, bool]] = defaultdict(dict)
    held = 0
    async with aclosing(all_exchanges(session)) as exchanges:
        async for list_name, exchange, lines in exchanges:
            if shard and not shard.owns(slot_of(exchange)):
                continue
            standing[list_name] |= {number_of(exchange, line): True for line in lines}
            held += len(lines)
            if held >= SUBJECTS_AT_ONCE:
                yield Truth(standing, {})
                standing, held = defaultdict(dict), 0
    yield Truth(standing, {})
    overrides: dict[LeadOnNumber, LiveOverride | None] = {}
    async with aclosing(all_overrides(session, at)) as live:
        async for opening, override in live:
            if shard and not owns(shard, opening[0]):
                continue
            overrides[opening] = override
            if len(overrides) >= SUBJECTS_AT_ONCE:
                yield Truth({}, overrides)
                overrides = {}
    yield Truth({}, overrides)


async def in_redis(wire: Wire, generation: int, registries: Collection[str]) -> AsyncIterator[Subjects]:
    """Yield everything that a generation in Redis holds, except `registries`."""
    subjects, held = Subjects(), 0
    async for keys in scan(wire, generation_pattern(generation)):
        subjects.openings |= {opening for key in keys if (opening := override_of(key))}
        sets = [(key, listed) for key in keys if (listed := listed_of(key)) and listed[0] not in registries]
        for some in batches(sets, KEYS_AT_ONCE):
            replies = await wire.ask(*(("SMEMBERS", key) for key, _ in some))
            for (_, (list_name, exchange)), lines in zip(some, replies, strict=True):
                numbers = [number_of(exchange, line) for line in lines_in(words(lines))]
                subjects.add(list_name, None, numbers)
                held += len(numbers)
            if held + len(subjects.openings) >= SUBJECTS_AT_ONCE:
                yield subjects
                subjects, held = Subjects(), 0
    yield subjects
