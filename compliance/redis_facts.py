"""The facts of one number: the commands that read them from Redis, and how to parse the replies.

The commands are for one build of the projection, so the replies are valid only if that build answered. The gate and the
site therefore read the state together with the facts, compare it (`same_build`), and query again if it has changed.
"""

from collections.abc import Callable, Sequence

from compliance.facts import LiveOverride, State
from compliance.numbers import E164, LeadId
from compliance.redis_schema import exchange_and_line, listed_key, override_key, read_override
from compliance.redis_terms import terms_digest
from compliance.terms import Applying

MOST_ATTEMPTS = 5
"""Maximum number of queries for the same facts. Another query is needed whenever the build has changed meanwhile."""


def same_build(one: State | None, other: State | None) -> bool:
    """Return whether two states belong to the same build, so that commands for one are valid for the other."""
    if one is None or other is None:
        return one is other
    # The count of changes is not compared: after a change the same commands read the changed facts.
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

    `is_listed` parses the reply to one SISMEMBER, which may be an error.
    """
    count = len(applying.lists)
    # A missing reply must raise ValueError, and must never count as "not listed": hence strict=True.
    pairs = zip(applying.lists, replies[:count], strict=True)
    listed = tuple([name for name, reply in pairs if is_listed(reply)])
    return listed, _override(replies[count]) if len(replies) > count else None


def _override(reply: object) -> LiveOverride | None:
    """Return the override in the reply to its GET; None for any other reply, so a malformed override allows no call."""
    try:
        return read_override(reply) if isinstance(reply, bytes) else None
    except ValueError:
        return None


def terms_document(state: State, reply: object) -> bytes | None:
    """Return the document in the reply to the GET of the terms; None if `state` has another digest."""
    return reply if isinstance(reply, bytes) and terms_digest(reply) == state.terms else None
