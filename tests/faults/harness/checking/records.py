"""Each answer against its record in SQL."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults.harness.checking.collected import History
from tests.faults.harness.checking.failures import FAILURES
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import ALLOW, BLOCK, Call, Event, Fault, Recorded

EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Missing:
    """Answered calls without a record.

    `excused` are those whose record may have stood only in a Redis that a fault destroyed; `allows` and `blocks` are
    the others. An emergency call is never stopped, so its record is kept like that of a block.
    """

    excused: Sequence[Call]
    allows: Sequence[Call]
    blocks: Sequence[Call]


def check_records(history: History) -> Iterator[Violation]:
    """Yield each answer without its record, each record that differs from its answer, and each record too many."""
    records = {record.decision: record for record in history.recorded}
    missing = missing_records(history)
    for call in missing.allows:
        yield Violation("allow-without-record", f"{call.decision or 'A call'} was allowed; SQL has no record.", (call,))
    reported = sum(lost.count for lost in history.lost)
    if len(missing.blocks) > reported:
        yield Violation(
            "block-without-record",
            f"{len(missing.blocks):,} blocked calls have no record; the product reports {reported:,} as lost.",
            (*missing.blocks, *history.lost),
        )
    for call in history.calls:
        if call.answered is not None and (record := records.get(call.decision)):
            yield from _differences(call, record, history.losing)
    yield from _surplus(history)


def missing_records(history: History) -> Missing:
    """Return the answered calls without a record."""
    recorded = {record.decision for record in history.recorded}
    missing = [call for call in history.calls if call.answered is not None and call.decision not in recorded]
    excused = [call for call in missing if is_excused(call, history.losing)]
    counted = {id(call) for call in excused}
    others = [call for call in missing if id(call) not in counted]
    allows = [call for call in others if call.verdict == ALLOW and call.reason != EMERGENCY]
    return Missing(excused, allows, [call for call in others if call.verdict == BLOCK or call.reason == EMERGENCY])


def is_excused(call: Call, losing: Sequence[Fault]) -> bool:
    """Return whether the record of an answered call may have stood only in a Redis that one of these faults
    destroyed.
    """
    return any(
        (fault.loses_from or 0) <= (call.answered or 0) and (fault.ended is None or call.invoked <= fault.ended)
        for fault in losing
    )


def _differences(call: Call, record: Recorded, losing: Sequence[Fault]) -> Iterator[Violation]:
    """Yield a violation if a record does not say what was answered."""
    if call.reason in FAILURES:  # The record has neither number nor lead, because the gate could not read the call.
        return
    if (call.number, call.lead, call.unique_id) != (record.number, record.lead, record.unique_id):
        yield Violation("record-differs", f"{call.decision} is recorded for another call.", (call, record))
    elif (call.verdict, call.reason) != (record.verdict, record.reason):
        # A block may correct an earlier record of its decision. The correction may be lost with a Redis.
        if call.verdict == BLOCK and is_excused(call, losing):
            return
        said = f"{call.verdict} {call.reason} was answered, {record.verdict} {record.reason} is recorded"
        yield Violation("record-differs", f"{call.decision}: {said}.", (call, record))


def _surplus(history: History) -> Iterator[Violation]:
    """Yield what is recorded twice, and what is recorded of no call."""
    for key, what in ((_decision, "decision"), (_unique_id, "call")):
        counts = Counter(map(key, history.recorded))
        for name in (name for name, count in counts.items() if count > 1):
            rows: tuple[Event, ...] = tuple(row for row in history.recorded if key(row) == name)
            yield Violation("record-doubled", f"The {what} {name} is recorded {len(rows)} times.", rows)
    calls = {call.unique_id for call in history.calls}
    for record in history.recorded:
        if record.unique_id not in calls:
            yield Violation("record-of-nobody", f"{record.decision} belongs to no call of the run.", (record,))


def _decision(record: Recorded) -> str:
    return record.decision


def _unique_id(record: Recorded) -> str:
    return record.unique_id
