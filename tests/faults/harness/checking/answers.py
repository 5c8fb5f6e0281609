"""Each change against its answer, its rows and its audit events in SQL at the end."""

import re
from collections import Counter
from collections.abc import Iterator

from tests.faults.harness.checking.collected import KNOWN, LISTING, History
from tests.faults.harness.checking.effects import ACTIONS, subject_of
from tests.faults.harness.checking.violations import Violation
from tests.faults.harness.history import Audited, Change, OverrideRow

DONE = {"command": frozenset({0}), "api": frozenset({200, 201}), "site": frozenset({200, 201, 303})}
"""The exit codes and statuses that say "in force", by the way in. A page says it in its words only."""

RECORDED = {"command": frozenset({3}), "api": frozenset({202}), "site": frozenset({200, 201, 303})}
"""The same for "recorded, not yet in force"."""

NOT_YET = re.compile(r'not yet in force|"in_force": ?false')
IN_FORCE = re.compile(r'(?<!not yet )in force|"in_force": ?true')
IMPORTED = "import-numbers"
MS_PER_S = 1000


def check_answers(history: History) -> Iterator[Violation]:
    """Yield each answer that contradicts itself, and each change that SQL has otherwise than it was answered."""
    for change in history.changes:
        yield from _contradiction(change)
    if not history.rested:
        return
    yield from _grants(history)
    yield from _revocations(history)
    yield from _rows_of_nobody(history)
    yield from _parts(history)
    yield from _audit_of_changes(history)
    yield from _audit_of_overrides(history)
    yield from _audit_of_imports(history)


def _contradiction(change: Change) -> Iterator[Violation]:
    """Yield a violation if the code and the words of an answer do not say the same."""
    says_not_yet, says_in_force = NOT_YET.search(change.said), IN_FORCE.search(change.said)
    if change.outcome == "in-force":
        wrong = change.code not in DONE.get(change.by, DONE["api"]) or (says_not_yet and not says_in_force)
    elif change.outcome == "recorded":
        wrong = change.code not in RECORDED.get(change.by, RECORDED["api"]) or (says_in_force and not says_not_yet)
    else:
        return
    if wrong:
        what = f"{change.kind} by {change.by} counts as {change.outcome}, with code {change.code}"
        yield Violation("answer-contradicts-itself", f"{what}, but it says: {change.said!r}.", (change,))


def _grants(history: History) -> Iterator[Violation]:
    """Yield each override that was granted, and that SQL lacks or has otherwise."""
    rows = {row.id: row for row in history.overrides}
    for change in history.changes:
        if change.kind != "grant" or change.outcome not in KNOWN:
            continue
        row = rows.get(change.id)
        if row is None or not _has_terms(row, change):
            what = "SQL lacks it" if row is None else "SQL has it otherwise"
            yield Violation(
                "change-lost", f"Override {change.id} was granted; {what}.", (change, *([row] if row else []))
            )


def _revocations(history: History) -> Iterator[Violation]:
    """Yield each override that was revoked or ended, and that SQL has as live."""
    rows = {row.id: row for row in history.overrides}
    for change in history.changes:
        if change.outcome not in KNOWN:
            continue
        for override in (change.id, *change.ended) if change.kind == "revoke" else change.ended:
            if (row := rows.get(override)) and not row.revoked:
                yield Violation("change-lost", f"Override {override} was ended; SQL has it as live.", (change, row))


def _rows_of_nobody(history: History) -> Iterator[Violation]:
    """Yield the overrides and entries in SQL that no change explains, such as a refused one that left something."""
    known = {change.id for change in history.changes if change.kind == "grant" and change.outcome in KNOWN}
    unknown = Counter(
        (change.numbers[0], change.lead)
        for change in history.changes
        if change.kind == "grant" and change.outcome == "unknown"
    )
    for row in history.overrides:
        if row.id in known:
            continue
        unknown[row.number, row.lead] -= 1
        if unknown[row.number, row.lead] < 0:
            yield Violation("change-of-nobody", f"Nobody granted override {row.id}.", (row, *_asked_for(history, row)))
    listed = {
        (number, change.list)
        for change in history.changes
        if change.kind in LISTING and change.outcome != "refused"
        for number in change.numbers
    }
    for entry in history.entries:
        if (entry.number, entry.list) not in listed:
            yield Violation("change-of-nobody", f"Nobody put {entry.number} on {entry.list}.", (entry,))


def _has_terms(row: OverrideRow, grant: Change) -> bool:
    """Return whether an override is the one that was granted. An answer may have its end in whole seconds."""
    same_end = abs(row.expires - grant.expires) < MS_PER_S
    return (row.number, row.lead) == (grant.numbers[0], grant.lead) and same_end


def _asked_for(history: History, row: OverrideRow) -> list[Change]:
    """Return the grants for the same lead and number, among which the reader may find a refused one."""
    changes = (change for change in history.changes if change.kind == "grant")
    return [change for change in changes if (change.numbers[0], change.lead) == (row.number, row.lead)]


def _parts(history: History) -> Iterator[Violation]:
    """Yield each change of many numbers of which SQL has a part.

    If another change listed a number as well, that number says nothing about a change of unknown outcome.
    """
    there = {(entry.number, entry.list) for entry in history.entries}
    listings = Counter(
        (number, change.list) for change in history.changes if change.kind in LISTING for number in change.numbers
    )
    for change in history.changes:
        if change.kind not in LISTING or len(change.numbers) == 1 or change.outcome == "refused":
            continue
        numbers = [(number, change.list) for number in change.numbers]
        if change.outcome == "unknown":
            numbers = [number for number in numbers if listings[number] == 1]
        found = sum(number in there for number in numbers)
        whole = {len(numbers)} if change.outcome in KNOWN else {0, len(numbers)}
        if found not in whole:
            said = f"One {change.kind} ({change.outcome}) left {found:,} of its {len(numbers):,} numbers in SQL."
            yield Violation("change-half-there", said, (change,))


def _audit_of_changes(history: History) -> Iterator[Violation]:
    """Yield the numbers whose listings and lifts are not as often in the audit trail as they were recorded."""
    events = Counter((event.action, event.subject) for event in history.audited)
    for kind in ("list", "lift"):
        action = ACTIONS[kind]
        changes = [change for change in history.changes if change.kind == kind]
        known = Counter(subject_of(change) for change in changes if change.outcome in KNOWN)
        unknown = Counter(subject_of(change) for change in changes if change.outcome == "unknown")
        for subject in sorted({*known, *unknown, *(subject for what, subject in events if what == action)}):
            least, most = known[subject], known[subject] + unknown[subject]
            if not least <= events[action, subject] <= most:
                yield _wrong_audit(history, action, subject, f"{least} to {most}" if most > least else f"{least}")


def _audit_of_overrides(history: History) -> Iterator[Violation]:
    """Yield the overrides whose grant, end or expiry is not in the audit trail exactly once."""
    events = Counter((event.action, event.subject) for event in history.audited)
    for row in history.overrides:
        if events["grant-override", row.id] != 1:
            yield _wrong_audit(history, "grant-override", row.id, "1")
        if events["revoke-override", row.id] != bool(row.revoked):
            yield _wrong_audit(history, "revoke-override", row.id, f"{int(bool(row.revoked))}")
        if events["expire-override", row.id] > (0 if row.revoked and row.revoked < row.expires else 1):
            yield _wrong_audit(history, "expire-override", row.id, "at most one, and none for a revoked override")


def _audit_of_imports(history: History) -> Iterator[Violation]:
    """Yield a violation if the imports are not in the audit trail exactly once."""
    events = Counter(event.subject for event in history.audited if event.action == IMPORTED)
    known = sum(change.kind == "import" and change.outcome in KNOWN for change in history.changes)
    unknown = sum(change.kind == "import" and change.outcome == "unknown" for change in history.changes)
    for subject, count in events.items():
        if count != 1:
            yield _wrong_audit(history, IMPORTED, subject, "1")
    if not known <= len(events) <= known + unknown:
        said = f"{len(events)} imports have an audit event; {known} were answered, and {unknown} are unknown."
        yield Violation("audit-differs", said, tuple(event for event in history.audited if event.action == IMPORTED))


def _wrong_audit(history: History, action: str, subject: str, wanted: str) -> Violation:
    found: list[Audited] = [one for one in history.audited if (one.action, one.subject) == (action, subject)]
    changes = [one for one in history.changes if ACTIONS.get(one.kind) == action and subject_of(one) == subject]
    said = f"{len(found)} audit events {action} for {subject}; there must be {wanted}."
    return Violation("audit-differs", said, (*changes, *found))
