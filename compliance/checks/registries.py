"""Rule on a number that is on no list by the terms of the registries that should cover it.

An override outweighs whatever a registry would have said of the number, so it opens these blocks too.
"""

from datetime import datetime

from compliance.check import CallPart, Check, Need, OpenedBy
from compliance.facts import Facts
from compliance.terms import REGISTRY_STALE, REGISTRY_UNCOVERED
from compliance.verdict import FREE, Ruling


def judge(facts: Facts, at: datetime) -> Ruling | None:
    """Block where a copy is too old or does not cover the number, or remark that calls pass all the same."""
    if facts.listed or facts.applying is None:
        return None
    ruling = facts.applying.unlisted(at)
    return None if ruling is FREE else ruling


def _can_block(facts: Facts) -> bool:
    return facts.applying is not None and facts.applying.may_block


CHECK = Check(
    judge=judge,
    reasons={
        REGISTRY_STALE: "The copy of a registry that should cover the number is too old.",
        REGISTRY_UNCOVERED: "A registry should cover the number, and its area code was never imported.",
    },
    needs=frozenset({Need.LISTS, Need.TERMS}),
    depends_on=frozenset({CallPart.MOMENT}),
    opened_by=OpenedBy.OVERRIDE,
    can_block=_can_block,
)
