"""A check as a developer would add it: it blocks numbers that end in 7 between two moments, and nothing opens it.

The product has no code for it. It applies the check as soon as `rule.CHECKS` has this entry.
"""

from datetime import UTC, datetime

from compliance.check import CallPart, Check, OpenedBy
from compliance.facts import Facts
from compliance.verdict import Reason, Ruling, block

ENDS_IN_SEVEN = Reason("ends-in-seven")
SENTENCE = "The number ends in 7, and such numbers rest at this time."
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
BLOCKED = block(ENDS_IN_SEVEN)


def judge(facts: Facts, at: datetime) -> Ruling | None:
    return BLOCKED if facts.number.endswith("7") and SINCE <= at < UNTIL else None


CHECK = Check(
    judge=judge,
    reasons={ENDS_IN_SEVEN: SENTENCE},
    needs=frozenset(),
    depends_on=frozenset({CallPart.NUMBER, CallPart.MOMENT}),
    opened_by=OpenedBy.NOTHING,
)
