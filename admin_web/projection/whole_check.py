"""The last step of a round: it compares what describes the projection as a whole, beside numbers and overrides."""

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.terms import terms_on_record
from admin_web.projection import drift, outbox
from admin_web.projection.compare import unmarked
from admin_web.projection.drain import Sides
from admin_web.projection.live import LiveProjection, read_live
from admin_web.projection.mending import WidelyDrifted, own_numbers, settle_counts
from admin_web.projection.round_steps import NOTHING, StepDone, generation_of, require_same
from admin_web.projection.turn import take_turn
from admin_web.projection.wire import Wire
from compliance.redis_terms import terms_digest, terms_value

OTHER_COUNT = "counted differently in Redis and SQL"


async def compare_whole(sides: Sides, live: LiveProjection) -> StepDone:
    """Compare the terms, the marks of a shard's slots and the counts. Only a rebuild mends the first two."""
    async with sides.store.wire() as wire:
        if await _terms_differ(sides, wire, live):
            raise WidelyDrifted({drift.TERMS_OTHER: 1})
        slots = await unmarked(wire, live)
        await require_same(wire, live)
        if slots:
            raise WidelyDrifted({drift.UNMARKED: len(slots)})
        if not await _miscounts(sides, wire, live):
            return NOTHING
        wrong = await settle_counts(sides, wire, generation_of(live))
        return StepDone({OTHER_COUNT: len(wrong)}, sorted(wrong)) if wrong else NOTHING


async def _terms_differ(sides: Sides, wire: Wire, live: LiveProjection) -> bool:
    """Return whether Redis has other terms than SQL, without a pending change that explains it."""
    async with sides.database.read() as session:
        wanted, pending = await _wanted_terms(session, live), await outbox.pending_ids(session)
        now = await read_live(wire)
        (held,) = await wire.ask(("GET", wire.keys.terms(generation_of(live))))
    await require_same(wire, live)
    digest = now.state.terms if now.state else ""
    if pending or (held == wanted and digest == terms_digest(wanted)):
        return False
    async with sides.database.read() as session:  # A change may have come after the first snapshot.
        return wanted == await _wanted_terms(session, live)


async def _wanted_terms(session: AsyncSession, live: LiveProjection) -> bytes:
    return terms_value(*await terms_on_record(session, live.versions))


async def _miscounts(sides: Sides, wire: Wire, live: LiveProjection) -> bool:
    """Return whether the counts were wrong at the moment of a turn, when no change was pending.

    SQL is counted as it was at that moment, but after the turn. Changes wait for a turn, and counting a million numbers
    takes a quarter of a second.
    """
    async with sides.database.read() as snapshot:
        async with sides.database.write() as session:
            await take_turn(session, sides.row)
            pending, held = await outbox.pending_ids(snapshot), (await read_live(wire)).counts
        expected = {} if pending else await own_numbers(snapshot, live)
    return any(held.get(name, 0) != number for name, number in expected.items())
