"""The facts of one number, as commands to Redis and as its replies; gate and site send them each in its own way.

The commands are built for one build of the projection, and its replies hold only if that build answered: both programs
read the state along with them, compare it (`same_build`), and ask again if it has changed.
"""

from collections.abc import Callable, Sequence

from compliance.facts import LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.redis_schema import exchange_and_line, listed_key, override_key, read_override
from compliance.redis_terms import terms_digest
from compliance.terms import Applying

MOST_ATTEMPTS = 5
"""How often facts are queried while the build changes, before the query is given up."""


def same_build(one: State | None, other: State | None) -> bool:
    """Return whether two states are of one build, so that the commands for one are right for the other."""
    if one is None or other is None:
        return one is other
    # Not the count of changes: it moves with each change, and the facts already have the change.
    return (one.generation, one.lists, one.terms) == (other.generation, other.lists, other.terms)


def fact_commands(
    state: State, applying: Applying, number: E164, lead: LeadId | None
) -> list[tuple[str | bytes | int, ...]]:
    """Return one SISMEMBER for each list that applies, then a GET of the override if there is a lead."""
    exchange, line = exchange_and_line(number)
    commands: list[tuple[str | bytes | int, ...]] = [
        ("SISMEMBER", listed_key(state.generation, name, exchange), line) for name in applying.lists
    ]
    if lead:
        commands.append(("GET", override_key(state.generation, number, lead)))
    return commands


def read_facts(
    applying: Applying, replies: Sequence[object], is_listed: Callable[[object], bool]
) -> tuple[tuple[str, ...], LiveOverride | None]:
    """Return the lists that hold the number, and the override, from the replies to `fact_commands`.

    `is_listed` reads the reply to one SISMEMBER, which may be an error.
    """
    count = len(applying.lists)
    # strict: a missing reply must be a fault, never a "not listed".
    pairs = zip(applying.lists, replies[:count], strict=True)
    listed = tuple([name for name, reply in pairs if is_listed(reply)])
    return listed, _override(replies[count]) if len(replies) > count else None


def _override(reply: object) -> LiveOverride | None:
    """Return the override in the reply to its GET; None for any other reply. Only a well-formed one opens a call."""
    try:
        return read_override(reply) if isinstance(reply, bytes) else None
    except ValueError:
        return None


def terms_document(state: State, reply: object) -> bytes | None:
    """Return the document in the reply to the GET of the terms; None unless `state` has its digest."""
    return reply if isinstance(reply, bytes) and terms_digest(reply) == state.terms else None
