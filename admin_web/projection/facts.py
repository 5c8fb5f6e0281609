"""What Redis knows of many numbers at this moment: the facts that the gate would judge a call by."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from admin_web.judging.terms import compiled
from admin_web.projection.store import ClusterStore, Command, RedisUnavailable, Reply, Store, Wire
from admin_web.projection.truth import LeadOnNumber
from compliance.facts import Facts, LiveOverride, State
from compliance.redis_schema import (
    STATE_FIELDS,
    exchange_and_line,
    listed_key,
    override_key,
    read_override,
    read_state,
    slot_of_number,
    terms_digest,
)
from compliance.terms import Applying, Terms

MOST_ASKINGS = 5
"""How often facts are asked again when the projection moved meanwhile."""


async def facts_of(store: Store, openings: Sequence[LeadOnNumber]) -> list[Facts]:
    """Give what Redis knows of each lead on its number, in their order, in one exchange. Raises RedisUnavailable.

    Of a cluster, each shard is asked about its own numbers.
    """
    if not isinstance(store, ClusterStore):
        return await _facts_of_one(store, openings)
    topology = await store.topology()
    asked: dict[int | None, list[int]] = defaultdict(list)
    for place, (number, _) in enumerate(openings):
        owner = topology.owner(slot_of_number(number))
        asked[owner.first if owner else None].append(place)
    found: dict[int, Facts] = {}
    for first, places in asked.items():
        if first is None:
            raise RedisUnavailable("no shard of the cluster serves some of the numbers")
        some = await _facts_of_one(store.shard(first), [openings[place] for place in places])
        found |= dict(zip(places, some, strict=True))
    return [found[place] for place in range(len(openings))]


async def _facts_of_one(store: Store, openings: Sequence[LeadOnNumber]) -> list[Facts]:
    """Ask one Redis, or one shard.

    The commands are spelled for one build of the projection; if another one answers, they are asked again.
    """
    async with store.wire() as wire:
        (fields,) = await wire.ask(_state_of(wire))
        expected = _state(fields)
        for _ in range(MOST_ASKINGS):
            terms = await _terms(wire, expected)
            found, state = await _ask(wire, expected, terms, openings)
            if _build(state) == _build(expected):
                return found
            expected = state
    raise RedisUnavailable("the projection did not stand still")


async def _terms(wire: Wire, state: State | None) -> Terms | None:
    """Give the terms of the registries that `state` names; None when Redis does not hold them, or not legibly."""
    if state is None:
        return None
    (document,) = await wire.ask(("GET", wire.keys.terms(state.generation)))
    if not isinstance(document, bytes) or terms_digest(document) != state.terms:
        return None
    try:
        return compiled(state.lists, document)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


async def _ask(
    wire: Wire, state: State | None, terms: Terms | None, openings: Sequence[LeadOnNumber]
) -> tuple[list[Facts], State | None]:
    """Ask for the facts as `state` spells them; give them, and the state that they were answered in."""
    applying = [terms.applying(number) if terms else None for number, _ in openings]
    questions = [
        command
        for opening, one in zip(openings, applying, strict=True)
        if state is not None and one is not None
        for command in _questions(state, one, opening)
    ]
    around: tuple[Command, ...] = ("INFO", "server"), _state_of(wire), ("EXISTS", wire.keys.lease)
    info, fields, leased, *replies = await wire.ask(*around, *questions)
    server, answering = wire.master.incarnation(_run_id(info)), _state(fields)
    answers = iter(replies)
    found = []
    for (number, lead), one in zip(openings, applying, strict=True):
        # A doubt is not a no: whatever is not SISMEMBER's 0 counts as listed.
        listed = tuple(name for name in one.lists if next(answers) != 0) if one else ()
        override = _override(next(answers)) if one else None
        found.append(Facts(number, lead, server, answering, leased == 1, listed, override, one))
    return found, answering


def _state_of(wire: Wire) -> Command:
    return "HMGET", wire.keys.state, *STATE_FIELDS


def _questions(state: State, applying: Applying, opening: LeadOnNumber) -> Iterator[Command]:
    number, lead = opening
    exchange, line = exchange_and_line(number)
    for name in applying.lists:
        yield "SISMEMBER", listed_key(state.generation, name, exchange), line
    yield "GET", override_key(state.generation, number, lead)


def _build(state: State | None) -> tuple[int, tuple[str, ...], str] | None:
    return (state.generation, state.lists, state.terms) if state else None


def _state(reply: Reply) -> State | None:
    """Read the state; None when there is none, or it is malformed."""
    if not isinstance(reply, list):
        raise RedisUnavailable(f"Redis would not give its state: {reply!r}")
    return read_state([value if isinstance(value, bytes) else None for value in reply])


def _run_id(info: Reply) -> str:
    """Read which server process answered. Raises RedisUnavailable."""
    for line in (info if isinstance(info, bytes) else b"").splitlines():
        if line.startswith(b"run_id:"):
            return line.removeprefix(b"run_id:").decode("ascii", "replace")
    raise RedisUnavailable("Redis does not tell its run_id")


def _override(reply: Reply) -> LiveOverride | None:
    """Read the override, if one is there and well-formed; anything doubtful is no override."""
    try:
        return read_override(reply) if isinstance(reply, bytes) else None
    except ValueError:
        return None
