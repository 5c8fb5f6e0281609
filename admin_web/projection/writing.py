"""Redis commands that write what SQL says.

Two locks protect the live generation. The turn in SQL lets one process write at a time. A process may lose its turn and
not notice, and a command whose reply never came may reach Redis late. Then Redis itself refuses the write: `dnc:state`
is watched before SQL is read, and every write changes `dnc:state`. So a write succeeds only if no other write came
after SQL was read.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from admin_web.projection.marks import Written
from admin_web.projection.truth import LeadOnNumber, Truth
from admin_web.projection.wire import Command, Reply, Wire
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
    """Line numbers of one exchange. With `stand` all of them are on the list, otherwise none of them is."""

    list_name: str
    exchange: str
    stand: bool
    lines: list[int]

    def command(self, generation: int) -> Command:
        """Return the command that adds the lines to the list's set, or removes them."""
        return "SADD" if self.stand else "SREM", listed_key(generation, self.list_name, self.exchange), *self.lines

    def query(self, generation: int) -> Command:
        """Return the command that reads which of the lines are in the set now."""
        return "SMISMEMBER", listed_key(generation, self.list_name, self.exchange), *self.lines

    def gain(self, there: Reply) -> int:
        """Return by how many numbers the list grows, given the reply to `query`; negative if it shrinks."""
        present = sum(1 for line in there if line == 1) if isinstance(there, list) else 0
        return len(self.lines) - present if self.stand else -present


def parts_of(truth: Truth) -> list[ExchangePart]:
    """Group numbers by list, by exchange, and by whether they are on the list."""
    lines: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for list_name, numbers in truth.standing.items():
        for number in sorted(numbers):
            exchange, line = exchange_and_line(number)
            lines[list_name, exchange, numbers[number]].append(line)
    return [ExchangePart(*group, some) for group, some in lines.items()]


def override_commands(
    generation: int, overrides: Iterable[tuple[LeadOnNumber, LiveOverride | None]]
) -> Iterator[Command]:
    """Yield the commands that set the override of each lead until its expiry, or delete it if the lead has none."""
    for (number, lead), override in overrides:
        key = override_key(generation, number, lead)
        if override is None:
            yield "UNLINK", key
        else:
            yield "SET", key, override_value(override), "PXAT", epoch_ms(override.expires_at)


def terms_commands(keys: Keys, generation: int, document: bytes) -> Iterator[Command]:
    """Yield the commands that write the terms, and the digest that the gate uses to check them."""
    yield "SET", keys.terms(generation), document
    yield "HSET", keys.state, TERMS, terms_digest(document)


def mark_command(keys: Keys, written: Written) -> Command:
    """Return the command that writes the mark of a write to `dnc:state`."""
    return "HSET", keys.state, *(word for pair in written.fields().items() for word in pair)


async def change_live(
    wire: Wire,
    state: State,
    truth: Truth,
    written: Written,
    terms: bytes | None = None,
    *,
    counted: bool = False,
) -> None:
    """Write a truth, the mark of this write, and the terms if they have changed, to the live generation at once.

    With `counted` the counts of the lists are left as they are, because they include what is written. The caller must
    have watched `dnc:state` before it read the truth. Raises StoreMoved when another process has written since.
    """
    parts = parts_of(truth)
    there = await wire.ask(*(part.query(state.generation) for part in parts))
    gains: dict[str, int] = defaultdict(int)
    for part, reply in zip(parts, there, strict=True):
        gains[part.list_name] += 0 if counted else part.gain(reply)
    await wire.transact(
        [
            *(part.command(state.generation) for part in parts),
            *override_commands(state.generation, truth.overrides.items()),
            *(terms_commands(wire.keys, state.generation, terms) if terms is not None else ()),
            *_state_commands(wire.keys, state, gains, written),
        ]
    )


def _state_commands(keys: Keys, state: State, gains: Mapping[str, int], written: Written) -> Iterator[Command]:
    """Yield the changes to `dnc:state`. The gate compares `changes` to notice that the projection has changed."""
    yield "HINCRBY", keys.state, CHANGES, 1
    yield mark_command(keys, written)
    for list_name, gain in gains.items():
        yield "HINCRBY", keys.state, count_field(list_name), gain
    if new := gains.keys() - set(state.lists):
        yield "HSET", keys.state, LISTS, ",".join([*state.lists, *sorted(new)])
