"""Block every call unless it is certain that Redis holds the complete and current lists."""

from datetime import datetime

from compliance.check import Check, Need, OpenedBy
from compliance.facts import Facts
from compliance.verdict import Reason, Ruling, block

STATE_UNVERIFIED = Reason("state-unverified")


def judge(facts: Facts, _: datetime) -> Ruling | None:
    """Block if the projection cannot be relied on. The detail is the slug that says why."""
    doubt = facts.doubt()
    return block(STATE_UNVERIFIED, doubt) if doubt else None


CHECK = Check(
    judge=judge,
    reasons={STATE_UNVERIFIED: "Redis answered, but it is not known to hold the whole, current list."},
    needs=frozenset({Need.PROJECTION}),
    depends_on=frozenset(),
    opened_by=OpenedBy.NOTHING,
)
