"""A gate that fails on a call or misreads it blocks the call, so nothing else would show that."""

from collections.abc import Iterator

from compliance import verdict
from tests.faults.harness.checking.collected import History
from tests.faults.harness.checking.violations import Violation

FAILURES = frozenset({verdict.INTERNAL_ERROR, verdict.BAD_REQUEST, verdict.BAD_CHANNEL, verdict.INVALID_NUMBER})
"""Reasons that no call of a run has if the gate works: every call is well-formed."""


def check_failures(history: History) -> Iterator[Violation]:
    """Yield each call on which a gate failed."""
    for call in history.calls:
        if call.reason in FAILURES:
            yield Violation("gate-failed", f"{call.gate} answered {call.verdict} {call.reason}.", (call,))
