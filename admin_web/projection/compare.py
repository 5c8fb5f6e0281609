"""Comparison of what SQL says with what Redis holds, for the same subjects."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from admin_web.projection import drift
from admin_web.projection.batches import batches
from admin_web.projection.live import LiveProjection
from admin_web.projection.truth import Subjects, Truth
from admin_web.projection.wire import Reply, Wire
from admin_web.projection.writing import ExchangePart, parts_of
from compliance.facts import LiveOverride
from compliance.numbers import E164
from compliance.redis_schema import number_of, override_key, override_value, read_override, slot_key

SLOTS_AT_ONCE = 5_000

NO_EXPIRY = -1
"""PTTL's reply for a key that never expires."""


class Difference(NamedTuple):
    """One subject on which SQL and Redis differ: a number on a list, or the override of a lead on a number."""

    kind: str
    list_name: str | None
    lead: str | None
    number: E164

    def __str__(self) -> str:
        return f"{self.number} on {self.list_name}" if self.lead is None else f"{self.number} for lead {self.lead}"


async def compare(wire: Wire, generation: int, truth: Truth, at: datetime) -> list[Difference]:
    """Return each subject of `truth` for which Redis's `generation` differs from it at `at` (aware UTC)."""
    parts = parts_of(truth)
    there = await wire.ask(*(part.query(generation) for part in parts))
    found = [difference for part, lines in zip(parts, there, strict=True) for difference in _on_lists(part, lines)]
    keys = [override_key(generation, *opening) for opening in truth.overrides]
    replies = await wire.ask(*((word, key) for key in keys for word in ("GET", "PTTL")))
    for (opening, override), value, ttl in zip(truth.overrides.items(), replies[::2], replies[1::2], strict=True):
        if kind := _kind(override, value, ttl, at):
            found.append(Difference(kind, None, opening[1], opening[0]))
    return found


async def unmarked(wire: Wire, live: LiveProjection) -> list[int]:
    """Return the slots of a shard that are not marked as built for it. Calls to their numbers are blocked."""
    found: list[int] = []
    generation = live.state.generation if live.state else 0
    for slots in batches(list(live.shard.slots()) if live.shard else [], SLOTS_AT_ONCE):
        marks = await wire.ask(*(("GET", slot_key(generation, slot)) for slot in slots))
        found += [slot for slot, mark in zip(slots, marks, strict=True) if mark != live.server.encode()]
    return found


def subjects_of(differences: list[Difference]) -> Subjects:
    """Return the subjects of the differences."""
    subjects = Subjects()
    for one in differences:
        subjects.add(one.list_name, one.lead, [one.number])
    return subjects


def _on_lists(part: ExchangePart, there: Reply) -> Iterator[Difference]:
    for line, found in zip(part.lines, there if isinstance(there, list) else [], strict=True):
        if bool(found) != part.stand:
            kind = drift.MISSING if part.stand else drift.EXTRA
            yield Difference(kind, part.list_name, None, number_of(part.exchange, line))


def _kind(override: LiveOverride | None, value: Reply, ttl: Reply, at: datetime) -> str:
    """Return the kind of difference, "" for none. An expired override allows no call, even while its key exists."""
    if not isinstance(value, bytes):
        return drift.OVERRIDE_MISSING if override else ""
    if ttl == NO_EXPIRY:
        return drift.OVERRIDE_ENDLESS
    if override is None:
        return "" if _is_over(value, at) else drift.OVERRIDE_EXTRA
    return "" if value == override_value(override).encode() else drift.OVERRIDE_OTHER


def _is_over(value: bytes, at: datetime) -> bool:
    try:
        return read_override(value).expires_at <= at
    except ValueError:
        return False
