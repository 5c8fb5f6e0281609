"""The facts that Redis holds about many numbers now. The gate would judge a call by the same facts."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, islice

from admin_web.judging.terms import compiled
from admin_web.projection.store import ClusterStore, Store
from admin_web.projection.truth import LeadOnNumber
from admin_web.projection.wire import Command, RedisUnavailable, Reply, Wire
from compliance.facts import Facts, State
from compliance.redis_facts import MOST_ATTEMPTS, fact_commands, read_facts, same_build, terms_document
from compliance.redis_schema import STATE_FIELDS, read_state, slot_of_number
from compliance.terms import Terms


async def facts_of(store: Store, openings: Sequence[LeadOnNumber], campaign: str = "") -> list[Facts]:
    """Return the facts of each lead and its number, for a campaign, in the same order. Raises RedisUnavailable.

    In a cluster, each shard is queried for its own numbers.
    """
    if not isinstance(store, ClusterStore):
        return await _facts_of_one(store, openings, campaign)
    topology = await store.topology()
    by_shard: dict[int | None, list[int]] = defaultdict(list)
    for index, (number, _) in enumerate(openings):
        owner = topology.owner(slot_of_number(number))
        by_shard[owner.first if owner else None].append(index)
    found: dict[int, Facts] = {}
    for first, indexes in by_shard.items():
        if first is None:
            raise RedisUnavailable("no shard of the cluster serves some of the numbers")
        some = await _facts_of_one(store.shard(first), [openings[index] for index in indexes], campaign)
        found |= dict(zip(indexes, some, strict=True))
    return [found[index] for index in range(len(openings))]


async def _facts_of_one(store: Store, openings: Sequence[LeadOnNumber], campaign: str) -> list[Facts]:
    """Query one Redis, or one shard. Repeat the query if a different build of the projection answers than expected."""
    async with store.wire() as wire:
        (fields,) = await wire.ask(_state_of(wire))
        expected = _state(fields)
        for _ in range(MOST_ATTEMPTS):
            terms = await _terms(wire, expected)
            found, state = await _ask(wire, expected, terms, openings, campaign)
            if same_build(state, expected):
                return found
            expected = state
    raise RedisUnavailable("the projection kept changing while it was read; try again")


async def _terms(wire: Wire, state: State | None) -> Terms | None:
    """Return the terms of the registries of `state`; None if Redis does not hold them, or they cannot be parsed."""
    if state is None:
        return None
    (reply,) = await wire.ask(("GET", wire.keys.terms(state.generation)))
    document = terms_document(state, reply)
    try:
        return None if document is None else compiled(state.lists, document)
    except ValueError:
        return None


async def _ask(
    wire: Wire, state: State | None, terms: Terms | None, openings: Sequence[LeadOnNumber], campaign: str
) -> tuple[list[Facts], State | None]:
    """Query the facts with commands for the build `state`. Return the facts, and the state that Redis had."""
    applying = [terms.applying(number, campaign) if terms else None for number, _ in openings]
    commands = [
        fact_commands(state, one, *opening) if state is not None and one is not None else []
        for opening, one in zip(openings, applying, strict=True)
    ]
    around: tuple[Command, ...] = ("INFO", "server"), _state_of(wire), ("EXISTS", wire.keys.lease)
    info, fields, leased, *replies = await wire.ask(*around, *chain.from_iterable(commands))
    server, answering = wire.master.incarnation(_run_id(info)), _state(fields)
    left = iter(replies)
    found = []
    for (number, lead), one, asked in zip(openings, applying, commands, strict=True):
        own = list(islice(left, len(asked)))
        listed, override = read_facts(one, own, _is_listed) if one else ((), None)
        found.append(Facts(number, lead, server, answering, leased == 1, listed, override, one, campaign))
    return found, answering


def _is_listed(reply: object) -> bool:
    """Read a reply to SISMEMBER.

    Any reply except 0 counts as listed, so that an unclear reply never shows a listed number as callable.
    """
    return reply != 0


def _state_of(wire: Wire) -> Command:
    return "HMGET", wire.keys.state, *STATE_FIELDS


def _state(reply: Reply) -> State | None:
    """Parse the state; None when it is missing or malformed."""
    if not isinstance(reply, list):
        raise RedisUnavailable(f"Redis did not return its state, but {reply!r}")
    return read_state([value if isinstance(value, bytes) else None for value in reply])


def _run_id(info: Reply) -> str:
    """Return the run id of the server process that answered. Raises RedisUnavailable."""
    for line in (info if isinstance(info, bytes) else b"").splitlines():
        if line.startswith(b"run_id:"):
            return line.removeprefix(b"run_id:").decode("ascii", "replace")
    raise RedisUnavailable("Redis does not tell its run_id")
