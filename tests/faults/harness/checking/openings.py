"""An override that was answered in force opens its lead, away from faults.

During a fault the gate may close all overrides, because it does not know the time of Redis. So a call that was blocked
for a list is looked at only if no fault was near, and only if nothing else can have ended the override.
"""

from collections import defaultdict
from collections.abc import Iterator

from tests.faults.harness.checking.collected import LISTING, NS_PER_MS, History
from tests.faults.harness.checking.numbers import LISTED
from tests.faults.harness.checking.outages import must_be_back
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import BLOCK, Call, Change


def check_openings(history: History) -> Iterator[Violation]:
    """Yield each call that was blocked for a list although an override of its lead was in force."""
    changes: dict[str, list[Change]] = defaultdict(list)
    for change in history.changes:
        for number in change.numbers:
            changes[number].append(change)
    disturbed = [(fault.began, must_be_back(fault)) for fault in history.faults]
    for call in history.calls:
        if call.lead and call.verdict == BLOCK and call.reason.endswith(LISTED):
            opening = _in_force(call, changes[call.number])
            if opening and not any(
                began <= (call.answered or 0) and call.invoked <= ended for began, ended in disturbed
            ):
                said = (
                    f"{call.number}: override {opening.id} of lead {call.lead} was in force, and {call.gate} blocked."
                )
                yield Violation("override-not-open", said, (opening, call))


def _in_force(call: Call, changes: list[Change]) -> Change | None:
    """Return the grant that must have opened a call, if nothing can have ended it before the answer."""
    answered = call.answered or 0
    ends_at = call.wall + -(-(answered - call.invoked) // NS_PER_MS) + 1
    grants = [one for one in changes if one.kind == "grant" and one.lead == call.lead and one.invoked <= answered]
    if len(grants) != 1:  # A second grant replaces the first.
        return None
    grant = grants[0]
    in_force = grant.outcome == "in-force" and (grant.answered or 0) < call.invoked and ends_at < grant.expires
    ended = any(_may_end(one, grant) for one in changes if one.invoked <= answered)
    return grant if in_force and not ended else None


def _may_end(change: Change, grant: Change) -> bool:
    """Return whether a change may have ended the override of a grant."""
    if change.kind in LISTING:
        return grant.id in change.ended or change.outcome == "unknown"
    return change.kind == "revoke" and change.id == grant.id and change.outcome != "refused"
