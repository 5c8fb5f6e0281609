"""Check a history: which promises did the product break in this run? Without input, output or a clock."""

import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.faults.harness.checking.answers import check_answers
from tests.faults.harness.checking.collected import History, collect
from tests.faults.harness.checking.failures import check_failures
from tests.faults.harness.checking.numbers import check_numbers
from tests.faults.harness.checking.openings import check_openings
from tests.faults.harness.checking.outages import check_outages
from tests.faults.harness.checking.records import check_records
from tests.faults.harness.checking.rest import check_rest
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import Event

CHECKS = (check_numbers, check_openings, check_failures, check_records, check_answers, check_rest, check_outages)

MOST_OF_A_RULE = 5
"""Maximum number of violations of one rule that a report prints."""


def check(events: Iterable[Event]) -> list[Violation]:
    """Return every violation in the history of one run."""
    with collector_paused():
        return check_history(collect(events))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector. It would look at millions of events again and again, and none of them is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def check_history(history: History) -> list[Violation]:
    """Return every violation in a history that was collected already."""
    return [violation for one in CHECKS for violation in one(history)]


def report(violations: Iterable[Violation]) -> Iterator[str]:
    """Yield the lines of a report for people: for each rule the first violations, and how many more there are."""
    by_rule: dict[str, list[Violation]] = defaultdict(list)
    for violation in violations:
        by_rule[violation.rule].append(violation)
    for rule, those in by_rule.items():
        for violation in those[:MOST_OF_A_RULE]:
            yield from violation.lines()
        if len(those) > MOST_OF_A_RULE:
            yield f"{rule}: and {len(those) - MOST_OF_A_RULE:,} more"
