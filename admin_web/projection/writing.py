"""Truth, spelled as Redis commands and written.

The live generation is changed under two locks. The turn in SQL lets one process write at a time. Should it be lost
while its holder goes on, or should a command that was given up for lost reach Redis later, then Redis itself refuses
it: `dnc:state` is watched before the truth is read, and every write changes it, so a write succeeds only if nobody
else has written since the truth behind it was read.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from admin_web.projection.store import Command, Reply, Wire
from admin_web.projection.truth import LeadOnNumber, Truth
from compliance.facts import LiveOverride, State
from compliance.redis_schema import (
    CHANGES,
    LISTS,
    TERMS,
    Keys,
    count_field,
    epoch_ms,
    exchange_and_line,
    listed_key,
    override_key,
    override_value,
)
from compliance.redis_terms import terms_digest


class ExchangePart(NamedTuple):
    """Line numbers of one exchange that all stand on a list, or that all do not."""

    list_name: str
    exchange: str
    stand: bool
    lines: list[int]

    def spell(self, generation: int) -> Command:
        """Spell the command that makes it so."""
        return "SADD" if self.stand else "SREM", listed_key(generation, self.list_name, self.exchange), *self.lines

    def asked(self, generation: int) -> Command:
        """Spell the command that asks which of the lines stand there already."""
        return "SMISMEMBER", listed_key(generation, self.list_name, self.exchange), *self.lines

    def gain(self, there: Reply) -> int:
        """Tell by how many numbers the list grows, from the answer to `asked`."""
        standing = sum(1 for line in there if line == 1) if isinstance(there, list) else 0
        return len(self.lines) - standing if self.stand else -standing


def parts_of(truth: Truth) -> list[ExchangePart]:
    """Group the numbers of a truth by list, exchange and whether they stand there."""
    lines: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for list_name, numbers in truth.standing.items():
        for number, stands in sorted(numbers.items()):
            exchange, line = exchange_and_line(number)
            lines[list_name, exchange, stands].append(line)
    return [ExchangePart(*group, some) for group, some in lines.items()]


def spell_overrides(
    generation: int, overrides: Iterable[tuple[LeadOnNumber, LiveOverride | None]]
) -> Iterator[Command]:
    """Spell the commands that open each lead for as long as its override lasts, or close it."""
    for (number, lead), override in overrides:
        key = override_key(generation, number, lead)
        if override is None:
            yield "UNLINK", key
        else:
            yield "SET", key, override_value(override), "PXAT", epoch_ms(override.expires_at)


def spell_terms(keys: Keys, generation: int, document: bytes) -> Iterator[Command]:
    """Spell what puts the terms of the registries in force, with the digest by which the gate knows them."""
    yield "SET", keys.terms(generation), document
    yield "HSET", keys.state, TERMS, terms_digest(document)


async def change_live(wire: Wire, state: State, truth: Truth, terms: bytes | None = None) -> None:
    """Write a truth to the live generation, all of it or nothing. `dnc:state` was watched before it was read.

    With it go the terms of the registries, if they have changed.
    Raises StoreMoved when somebody else has written since.
    """
    parts = parts_of(truth)
    there = await wire.ask(*(part.asked(state.generation) for part in parts))
    gains: dict[str, int] = defaultdict(int)
    for part, reply in zip(parts, there, strict=True):
        gains[part.list_name] += part.gain(reply)
    await wire.transact(
        [
            *(part.spell(state.generation) for part in parts),
            *spell_overrides(state.generation, truth.overrides.items()),
            *(spell_terms(wire.keys, state.generation, terms) if terms is not None else ()),
            *_account(wire.keys, state, gains),
        ]
    )


def _account(keys: Keys, state: State, gains: Mapping[str, int]) -> Iterator[Command]:
    """Spell what changes in `dnc:state`. The gate compares `changes` to see whether anything moved."""
    yield "HINCRBY", keys.state, CHANGES, 1
    for list_name, gain in gains.items():
        yield "HINCRBY", keys.state, count_field(list_name), gain
    if new := gains.keys() - set(state.lists):
        yield "HSET", keys.state, LISTS, ",".join([*state.lists, *sorted(new)])
