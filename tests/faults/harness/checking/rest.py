"""What must be so at rest, and whether the history has all that the other rules need."""

from collections.abc import Iterator

from tests.faults.harness.checking.collected import History
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import Event


def check_rest(history: History) -> Iterator[Violation]:
    """Yield what was not at rest at the end, and what the history lacks."""
    for verified in history.verified:
        if verified.code != 0:
            yield Violation("drift", f"dnc-admin verify ended with {verified.code}: {verified.said!r}.", (verified,))
    for left in history.left:
        if left.count:
            yield Violation("left-over", f"{left.count:,} left in {left.where}.", (left,))
    yield from _incomplete(history)


def _incomplete(history: History) -> Iterator[Violation]:
    """Yield what the history lacks. A run that was cut off must not pass because little is left to check."""
    single: dict[str, list[Event]] = {"beginning": [*history.runs], "rest": [*history.rested]}
    for what, found in single.items():
        if len(found) != 1:
            yield Violation("incomplete-history", f"The history has {len(found)} events of its {what}.", tuple(found))
    for what, some in (("calls", history.calls), ("answers of verify", history.verified), ("streams", history.left)):
        if not some:
            yield Violation("incomplete-history", f"The history has no {what}.")
    for fault in history.faults:
        if fault.ended is None:
            yield Violation("incomplete-history", f"The fault {fault.kind} of {fault.target} never ended.", (fault,))
    for change in history.changes:
        if change.answered is None and change.outcome != "unknown":
            yield Violation("incomplete-history", "A change has an outcome, but no time of its answer.", (change,))
