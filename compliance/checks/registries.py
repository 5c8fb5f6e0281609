"""Judge an unlisted number by the terms of the registries that should cover it.

An override would outweigh an entry in the registry. So it also outweighs a copy of the registry that is too old or
does not cover the number.
"""

from datetime import datetime

from compliance.check import CallPart, Check, Need, OpenedBy
from compliance.facts import Facts
from compliance.terms import REGISTRY_STALE, REGISTRY_UNCOVERED
from compliance.verdict import FREE, Ruling


def judge(facts: Facts, at: datetime) -> Ruling | None:
    """Block if a registry's copy is too old or does not cover the number.

    If the registry's terms let such calls pass, return a remark instead. Return None for a listed number, and for an
    unlisted number whose registries raise no objection.
    """
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
