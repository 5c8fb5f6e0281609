"""What each change does to the state of a number, and when calls may see it: changes as writes of `register`."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from tests.faults.harness.checking.collected import LISTING, NEVER, History
from tests.faults.harness.checking.register import State, Write
from tests.faults.harness.history import Change

Apply: TypeAlias = Callable[[State], State]

ACTIONS = {"list": "suppress", "lift": "lift", "revoke": "revoke-override", "grant": "grant-override"}
"""The action of the audit event that each kind of change writes. Its subject is a number, or the id of an override."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A fact: an override opens a number to a lead, until `expires` (wall milliseconds). `id` may be unknown."""

    lead: str
    id: str
    expires: int


def writes_of(history: History) -> dict[str, list[Write[Change]]]:
    """Return the writes to each number, of every change that may have happened."""
    rested = history.rested[0].at if history.rested else NEVER
    # The worker renews the lease only if every change that was committed before is in force (projection/lease.py). So
    # calls are allowed without a change at most for one lease after it was committed.
    lease = history.lease
    writes: dict[str, list[Write[Change]]] = {}
    for change in happened(history):
        for number in change.numbers:
            writes.setdefault(number, []).append(write_of(change, rested, lease))
    return writes


def write_of(change: Change, rested: int, lease: int) -> Write[Change]:
    """Return a change as a write. What was recorded must be seen `lease` after its answer, and by `rested`."""
    apply = effect_of(change)
    if change.outcome == "unknown" or change.answered is None:
        # The name of the effect says what the change does: unknown ones that do the same are interchangeable.
        effect = change.kind in LISTING, change.kind, change.list, change.lead, change.id, change.expires
        return Write(change, change.invoked, NEVER, NEVER, effect, apply, optional=True)
    seen = change.answered
    if change.outcome == "recorded":
        seen = max(seen, min(rested, seen + lease))
    return Write(change, change.invoked, change.answered, seen, None, apply)


def effect_of(change: Change) -> Apply:
    """Return the function from the state before a change to the state after it."""
    if change.kind in LISTING:
        return lambda state: without(state, change.ended) | {change.list}
    if change.kind == "lift":
        return lambda state: state - {change.list}
    if change.kind == "grant":
        opening = Opening(change.lead, change.id, change.expires)
        return lambda state: state | {opening}
    return lambda state: without(state, (change.id,))


def without(state: State, ended: Iterable[str]) -> State:
    """Return the state without the overrides of these ids."""
    gone = {fact for fact in state if isinstance(fact, Opening) and fact.id in set(ended)} if ended else set()
    return state - gone


def happened(history: History) -> Iterator[Change]:
    """Yield each change that was recorded or may have been. SQL's end decides about some whose outcome is unknown.

    If a number has no more audit events than known changes of a kind, the unknown ones never happened. Nor did a grant
    of unknown outcome that has no row.
    """
    spare = _spare_events(history)
    rows = {row.id: row for row in history.overrides}
    for change in history.changes:
        if change.outcome == "refused":
            continue
        if change.kind == "grant" and change.id in rows:
            # SQL has the very end of an override. An answer may have it in whole seconds.
            yield replace(change, expires=rows[change.id].expires)
        elif (
            change.outcome != "unknown"
            or not history.rested
            or change.kind == "import"
            or (change.kind != "grant" and spare[_event_of(change)] > 0)
        ):
            yield change
    if history.rested:
        yield from _grants_of_unknown_outcome(history)


def _grants_of_unknown_outcome(history: History) -> Iterator[Change]:
    """Yield a grant for each override in SQL that no known grant has made.

    If several grants of unknown outcome are for the same lead and number, the first of them may have made any of these
    overrides.
    """
    known = {change.id for change in history.changes if change.kind == "grant" and change.outcome != "unknown"}
    unknown: dict[tuple[str, str], Change] = {}
    for change in history.changes:
        if change.kind == "grant" and change.outcome == "unknown":
            first = unknown.setdefault((change.numbers[0], change.lead), change)
            if change.invoked < first.invoked:
                unknown[change.numbers[0], change.lead] = change
    for row in history.overrides:
        if row.id not in known and (made := unknown.get((row.number, row.lead))):
            yield replace(made, id=row.id, expires=row.expires)


def _spare_events(history: History) -> Counter[tuple[str, str]]:
    """Return how many audit events there are beside those of the known changes, by action and subject."""
    spare = Counter((event.action, event.subject) for event in history.audited)
    spare.subtract(_event_of(change) for change in history.changes if change.outcome in {"in-force", "recorded"})
    return spare


def _event_of(change: Change) -> tuple[str, str]:
    return ACTIONS.get(change.kind, ""), subject_of(change)


def subject_of(change: Change) -> str:
    """Return the subject of the audit event of a change."""
    if change.kind in {"grant", "revoke"}:
        return change.id
    return change.numbers[0] if len(change.numbers) == 1 else change.list
