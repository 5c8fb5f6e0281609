"""What the checker reports: the rule that was broken, in one sentence, with the events that show it."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.harness.history import Event

MOST_SHOWN = 8
"""Maximum number of events that a report prints for one violation."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise. `rule` is the slug of the rule: see `RULES`."""

    rule: str
    sentence: str
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        assert self.rule in RULES, self.rule

    def lines(self) -> Iterable[str]:
        """Yield the lines of a report: the sentence, then the events, oldest first."""
        yield f"{self.rule}: {self.sentence}"
        for event in self.events[:MOST_SHOWN]:
            yield f"    {event}"
        if len(self.events) > MOST_SHOWN:
            yield f"    and {len(self.events) - MOST_SHOWN:,} more events"


RULES = {
    "allow-after-block": "No call is allowed that was invoked after a block of its number was answered in force.",
    "allow-after-lease": "No call is allowed without a recorded change for longer than a lease.",
    "allow-after-sight": "No call is allowed on a state older than one that an earlier answer has shown.",
    "override-of-nobody": "No override opens a lead or a number that it was not granted for.",
    "override-after-end": "No override opens a call that was invoked after its end.",
    "override-after-revoke": "No override opens a call that was invoked after its revocation was answered in force.",
    "override-not-open": "Away from faults, an override that was answered in force opens its lead.",
    "late-allow": "A call under way is allowed on the state before only within the deadline.",
    "allow-without-record": "Each allowed call has its record in SQL.",
    "block-without-record": "Each blocked call has its record in SQL, or the product counts it as lost.",
    "record-differs": "A record says what was answered, to which call, for which number and lead.",
    "record-doubled": "No call and no decision is recorded twice.",
    "record-of-nobody": "Each record belongs to a call.",
    "answer-contradicts-itself": "The status or exit code and the words of an answer say the same.",
    "change-lost": "A change that was recorded is in SQL at the end.",
    "change-of-nobody": "SQL holds no entry and no override that nobody asked for; what was refused left nothing.",
    "change-half-there": "A change of many numbers is in SQL as a whole, or not at all.",
    "audit-differs": "Each change has exactly one audit event.",
    "drift": "At rest, `dnc-admin verify` finds that Redis holds what SQL says.",
    "left-over": "At rest, nothing waits in the streams and in the outbox.",
    "false-block": "No call is blocked for a list that its number was not on.",
    "gate-failed": "No gate fails on a call, or misreads it.",
    "not-back": "Calls are back within the stated time after the end of a fault.",
    "incomplete-history": "The history has all its parts, so that the other rules can be checked.",
    "undecided": "The changes of one number overlap so much that the checker cannot decide about its calls.",
}
"""Each rule that the checker applies, as a sentence."""
