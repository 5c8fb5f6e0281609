"""What Redis holds although SQL may have lost it: read from the live generation, in batches of constant memory."""

import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Self

from admin_web.projection.batches import batches
from admin_web.projection.contents import KEYS_AT_ONCE, SUBJECTS_AT_ONCE, in_redis
from admin_web.projection.lease import end_lease
from admin_web.projection.live import LiveProjection, NotRecoverable, SlotsLeft, read_live
from admin_web.projection.sweep import scan
from admin_web.projection.truth import LeadOnNumber, Subjects
from admin_web.projection.wire import StoreMoved, Wire, words
from compliance.facts import LiveOverride, State
from compliance.numbers import E164
from compliance.redis_schema import (
    lines_in,
    listed_of,
    listed_pattern,
    number_of,
    override_key,
    override_value,
    read_override,
)
from compliance.redis_terms import read_terms, terms_digest
from compliance.terms import AllTerms

_ID, _BASIS = re.compile(r"[0-9]{1,18}"), re.compile(r"[a-z-]{1,32}")


class TermsLost(NotRecoverable):
    """Redis has lost its terms, so nobody knows any more which patterns it blocked."""

    def __init__(self, mark: str) -> None:
        super().__init__(
            "Redis has lost the patterns and the terms that this database may not have, so they cannot be recovered; "
            "calls are stopped until you enter them again and run "
            f"`dnc-admin rebuild --discard {mark or 'none'}`, which recovers no number either"
        )
        self.public = str(self).partition("; ")[0]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The live generation of one Redis, or shard, read over one connection.

    Each batch ends the lease first. Otherwise another worker that has not noticed yet could let calls go on.
    """

    wire: Wire
    live: LiveProjection
    state: State

    @classmethod
    async def of(cls, wire: Wire) -> Self | None:
        """Return the evidence; None if Redis holds no projection. Raises RedisUnavailable."""
        live = await read_live(wire)
        return cls(wire, live, live.state) if live.state else None

    def require_own_slots(self) -> None:
        """Raise SlotsLeft if the shard has other slots than when it was built."""
        if self.live.had_other_slots:
            raise SlotsLeft(self.live.written.mark, self.wire.keys.first_slot)

    async def require_unchanged(self) -> None:
        """Raise StoreMoved if another process has written to Redis since, or if slots have moved."""
        now = await read_live(self.wire)
        if (now.written, now.server) != (self.live.written, self.live.server):
            raise StoreMoved("another process changed the projection while it was compared; the worker tries again")

    async def terms(self) -> AllTerms:
        """Return the terms. Raises TermsLost if Redis lacks those that its state names."""
        (document,) = await self.wire.ask(("GET", self.wire.keys.terms(self.state.generation)))
        if not isinstance(document, bytes) or terms_digest(document) != self.state.terms:
            raise TermsLost(self.live.written.mark)
        return read_terms(document)

    async def subjects(self) -> AsyncIterator[Subjects]:
        """Yield the numbers on the company's own lists, and the openings that have an override."""
        async for some in in_redis(self.wire, self.state.generation, self.live.versions):
            await end_lease(self.wire)
            yield some

    async def registry(self, name: str) -> AsyncIterator[Mapping[str, set[E164]]]:
        """Yield the numbers of a registry by exchange. An exchange may come twice."""
        async for keys in scan(self.wire, listed_pattern(self.state.generation, name)):
            sets = [(key, found[1]) for key in keys if (found := listed_of(key))]
            for some in batches(sets, KEYS_AT_ONCE):
                await end_lease(self.wire)
                replies = await self.wire.ask(*(("SMEMBERS", key) for key, _ in some))
                yield {
                    exchange: {number_of(exchange, line) for line in lines_in(words(lines))}
                    for (_, exchange), lines in zip(some, replies, strict=True)
                }

    async def opened(self, openings: Collection[LeadOnNumber]) -> dict[LeadOnNumber, LiveOverride]:
        """Return the override of each opening that has one in Redis."""
        found: dict[LeadOnNumber, LiveOverride] = {}
        for some in batches(list(openings), SUBJECTS_AT_ONCE):
            values = await self.wire.ask(*(("GET", override_key(self.state.generation, *one)) for one in some))
            for one, value in zip(some, values, strict=True):
                if isinstance(value, bytes) and (override := _read(value)):
                    found[one] = override
        return found

    async def lacking(self, overrides: Collection[tuple[LeadOnNumber, LiveOverride]]) -> list[int]:
        """Return the ids of those overrides that Redis does not hold in the same form."""
        held = await self.opened({opening for opening, _ in overrides})
        same = {opening: override_value(override) for opening, override in held.items()}
        return [int(one.id) for opening, one in overrides if same.get(opening) != override_value(one)]


def _read(value: bytes) -> LiveOverride | None:
    """Return an override; None for a value that no version writes."""
    try:
        override = read_override(value)
    except ValueError:
        return None
    return override if _ID.fullmatch(override.id) and _BASIS.fullmatch(override.basis) else None
