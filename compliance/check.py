"""What one check of the rule is: a function, and the declarations that the gate and the site follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from compliance.facts import Facts
from compliance.verdict import Reason, Ruling, list_of

Judge: TypeAlias = Callable[[Facts, datetime], Ruling | None]
"""Judge a call by these facts at a moment (aware UTC).

A BLOCK stops the call. An ALLOW stops nothing: it is the reason on record if no check blocks. None is no objection.
"""


class Need(Enum):
    """A part of the facts that a check reads."""

    PROJECTION = "projection"  # `server`, `state`, `leased`, and whether the terms are known at all
    LISTS = "lists"
    TERMS = "terms"
    OVERRIDE = "override"


class CallPart(Enum):
    """A part of a call that can change the outcome of a check while the facts that it needs stay the same."""

    NUMBER = "number"
    LEAD = "lead"
    CAMPAIGN = "campaign"
    MOMENT = "moment"


class OpenedBy(Enum):
    """What opens a lead that a check blocks."""

    NOTHING = "nothing"
    OVERRIDE = "override"


FORESEEABLE = frozenset({Need.PROJECTION, Need.LISTS, Need.TERMS})
"""What Redis compares in the step that records a foreseen decision: see `agi_gate/store/foreseen.py`."""


def _anything(_: Facts) -> bool:
    return True


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Check:
    """One check of the rule.

    `reasons` holds each reason that it blocks or remarks with, and a sentence for people. `per_list` is the sentence of
    reasons that name a list (`us-ftc-dnc`), with {} for the list; empty for every other check.

    `can_block` is whether it blocks a call by these facts at this moment or another, whatever the lead. The site looks
    for overrides where it is true.
    """

    judge: Judge
    reasons: Mapping[Reason, str]
    needs: frozenset[Need]
    depends_on: frozenset[CallPart]
    opened_by: OpenedBy
    per_list: str = ""
    can_block: Callable[[Facts], bool] = _anything
    foreseeable: bool = field(init=False)
    """Whether the gate may judge by it on foreseen facts: Redis compares all that it needs."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "foreseeable", self.needs <= FORESEEABLE)  # Read at every call: worked out once.

    def sentence(self, reason: Reason) -> str:
        """Return a reason of this check as a sentence for people; empty for a reason of another."""
        known = self.reasons.get(reason, "")
        return known or (self.per_list.format(list_of(reason)) if self.per_list and list_of(reason) else "")

    @property
    def opens_by_override(self) -> bool:
        """Whether an override opens a lead that this check blocks."""
        return self.opened_by is OpenedBy.OVERRIDE

    @property
    def differs_by_call(self) -> bool:
        """Whether two calls of which the same facts are known may get different rulings at one moment."""
        return not self.depends_on <= {CallPart.MOMENT}

    @property
    def stops_every_call(self) -> bool:
        """Whether a block by this check is a block of every call at that moment, whatever the number."""
        return self.needs <= {Need.PROJECTION} and not self.differs_by_call

    @property
    def is_do_not_call(self) -> bool:
        """Whether it blocks for a Do-Not-Call list: the number is listed, or nobody can tell whether it is."""
        return not self.needs.isdisjoint({Need.LISTS, Need.TERMS})
