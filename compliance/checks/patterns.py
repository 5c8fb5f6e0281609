"""Block a number that begins with a pattern of the company's own list: a whole area code, or an exchange."""

from datetime import datetime

from compliance.check import Check, Need, OpenedBy
from compliance.facts import Facts
from compliance.verdict import Reason, Ruling, block

INTERNAL_PATTERN = Reason("internal-pattern")


def judge(facts: Facts, _: datetime) -> Ruling | None:
    """Block a number that begins with a pattern. The detail is the longest such pattern."""
    applying = facts.applying
    return block(INTERNAL_PATTERN, applying.pattern) if applying and applying.pattern else None


CHECK = Check(
    judge=judge,
    reasons={INTERNAL_PATTERN: "The company's own list blocks all numbers that begin with these digits."},
    needs=frozenset({Need.TERMS}),
    depends_on=frozenset(),
    opened_by=OpenedBy.OVERRIDE,
    can_block=lambda facts: facts.applying is not None and facts.applying.pattern != "",
)
