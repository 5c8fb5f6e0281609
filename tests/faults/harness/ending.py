"""The end of a run: everything comes to rest, and what SQL, Redis and the programs then say goes into the history."""

import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tests.faults.harness import sql_facts
from tests.faults.harness.history import Event, Left, Lost, Rested, Verified
from tests.faults.harness.redises import AWAY, client_of
from tests.faults.harness.replies import NOT_IN_FORCE
from tests.faults.harness.stack import FaultStack
from tests.faults.harness.stated import AT_REST_S, SLOWNESS

NOT_YET = (*AWAY, SQLAlchemyError)


def facts(stack: FaultStack, say: Callable[[str], None]) -> Iterator[Event]:
    """Wait until the stack is at rest, at most as long as the product may need, and yield what it then holds."""
    began = time.monotonic()
    at_rest = stack.wait_for(lambda: _at_rest(stack), AT_REST_S * SLOWNESS)
    took = time.monotonic() - began
    say(f"at rest after {took:.1f} s" if at_rest else f"not at rest after {took:.1f} s")
    yield Rested(time.monotonic_ns())
    yield from left(stack)
    yield from lost(stack)
    yield verified(stack)
    yield from sql_facts.rows(stack.database.url)


def verified(stack: FaultStack) -> Verified:
    """Return the answer of `dnc-admin verify`.

    Overrides go on ending. While the worker records an end, the command says that a change is not yet in force. Then it
    is run again, until it says something else or nothing may be on its way any more.
    """
    deadline = time.monotonic() + AT_REST_S * SLOWNESS
    while True:
        answer = stack.commands().run("verify")
        if answer.code != NOT_IN_FORCE or time.monotonic() > deadline:
            return Verified(time.monotonic_ns(), -1 if answer.code is None else answer.code, answer.said)


def _at_rest(stack: FaultStack) -> bool:
    """Return whether every program is ready, and nothing waits in a stream or in the outbox."""
    try:
        return (
            all(stack.ready(name) for name in stack.programs)
            and not any(one.count for one in left(stack))
            and not _waiting(stack.database.url)
        )
    except NOT_YET:
        return False


def _waiting(url: str) -> int:
    """Return how many changes have not reached Redis."""
    engine = sql_facts.engine_of(url)
    with engine.connect() as connection:
        waiting = connection.scalar(text("SELECT count(*) FROM outbox WHERE applied_turn IS NULL"))
    engine.dispose()
    return int(waiting or 0)


def left(stack: FaultStack) -> Iterator[Left]:
    """Yield what the streams of each master hold."""
    with ExitStack() as ending:
        servers = stack.redises.servers
        masters = {f"redis-{servers.index(one)}": client_of(one) for one in stack.redises.masters()}
        for client in masters.values():
            ending.enter_context(client)
        yield from sql_facts.left_in(masters)


def lost(stack: FaultStack) -> Iterator[Lost]:
    """Yield how many records each gate counts as lost."""
    for name in stack.gates:
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.metrics[name]}/metrics", timeout=5) as answer:
            yield from sql_facts.lost([(name, answer.read().decode())])
