"""Ways to break a promise of the product, each in one place. The tests prove by them that the checker sees.

A patch that no longer breaks anything fails its test, because the checker then reports nothing.
"""

import asyncio
from collections.abc import Callable
from importlib import import_module

from admin_web.record.changes import IN_FORCE, Change, Records, Standing
from agi_gate.decision_log import DecisionLog, RecordUnavailable
from agi_gate.store.questions import RedisSteps, question
from agi_gate.store.wire import StoreUnavailable
from compliance import facts
from compliance.facts import Facts, State
from compliance.verdict import Decision

# A fork of this program has these modules already. They import `doubt` by its name, so the worker keeps the true one.
for _module in ("admin_web.cli.program", "admin_web.projection.projection", "agi_gate.serving.backend"):
    import_module(_module)

BEHIND_S = 1.0
"""Seconds between an answer and its record, where the record is moved behind the answer."""


def lease_ignored() -> None:
    """The gate relies on the projection, whether the worker still keeps it current or not."""
    doubt = facts.doubt

    def without_lease(state: State | None, server: str, *, leased: bool) -> str:
        return doubt(state, server, leased=True)

    facts.doubt = without_lease


def incarnation_ignored() -> None:
    """The gate relies on a projection that was verified on another server process."""
    doubt = facts.doubt

    def on_any_server(state: State | None, server: str, *, leased: bool) -> str:
        return doubt(state, state.incarnation if state else server, leased=leased)

    facts.doubt = on_any_server


def record_behind_the_answer() -> None:
    """The gate answers first, and records the decision a second later."""

    def record(self: DecisionLog, decision: Decision) -> RedisSteps[State | None]:
        try:
            answers = yield question(("PING",))
        except StoreUnavailable as error:
            raise RecordUnavailable(str(error)) from error
        asyncio.get_running_loop().call_later(BEHIND_S, self.note, decision)
        return answers.after

    def record_foreseen(self: DecisionLog, decision: Decision, facts: Facts) -> RedisSteps[bool]:
        yield question(("PING",))
        return False  # So the call is judged on facts that the gate reads, and `record` is next.

    DecisionLog.record = record  # type: ignore[method-assign]
    DecisionLog.record_foreseen = record_foreseen  # type: ignore[method-assign]


def in_force_at_once() -> None:
    """The site and the commands say "in force" without waiting for Redis. The worker applies the change later."""

    async def standing(self: Records, *changes: Change) -> Standing:
        return IN_FORCE

    Records.standing = standing  # type: ignore[method-assign]


PATCHES: dict[str, Callable[[], None]] = {
    "lease-ignored": lease_ignored,
    "incarnation-ignored": incarnation_ignored,
    "record-behind-the-answer": record_behind_the_answer,
    "in-force-at-once": in_force_at_once,
}
"""The patches, by the name that the command line takes."""
