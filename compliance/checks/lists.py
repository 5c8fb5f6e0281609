"""Block a number that is on a Do-Not-Call list: the company's own list, or a registry that applies to the number."""

from datetime import datetime

from compliance.check import Check, Need, OpenedBy
from compliance.facts import Facts
from compliance.verdict import Ruling, block, listed_on


def judge(facts: Facts, _: datetime) -> Ruling | None:
    """Block a listed number. The reason names the first list that has the number."""
    return block(listed_on(facts.listed[0])) if facts.listed else None


CHECK = Check(
    judge=judge,
    reasons={listed_on("internal"): "The number is on the company's own Do-Not-Call list."},
    per_list="The number is on the list {}.",
    needs=frozenset({Need.LISTS}),
    depends_on=frozenset(),
    opened_by=OpenedBy.OVERRIDE,
    can_block=lambda facts: bool(facts.listed),
)
