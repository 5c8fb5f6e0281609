"""The type of one check of the rule: a function, and declarations that the gate and the site rely on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from compliance.facts import Facts
from compliance.verdict import Reason, Ruling, list_of

Judge: TypeAlias = Callable[[Facts, datetime], Ruling | None]
"""Judge a call by these facts at a moment (aware UTC).

A BLOCK stops the call. An ALLOW is a remark: its reason goes on record if no check blocks. None means no objection.
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
    """What can allow a call that a check blocks."""

    NOTHING = "nothing"
    OVERRIDE = "override"


FORESEEABLE = frozenset({Need.PROJECTION, Need.LISTS, Need.TERMS})
"""The facts that Redis compares while it records a foreseen decision: see `agi_gate/store/foreseen.py`."""


def _anything(_: Facts) -> bool:
    return True


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Check:
    """One check of the rule.

    `reasons` maps each reason of its blocks and remarks to a sentence for people. `per_list` is the sentence for
    reasons that name a list (`us-ftc-dnc`), with {} in place of the list. It is empty if the check has no such reasons.

    `can_block` returns whether the check could block a call with these facts at any moment, for any lead. If it
    returns True, the site looks for overrides.
    """

    judge: Judge
    reasons: Mapping[Reason, str]
    needs: frozenset[Need]
    depends_on: frozenset[CallPart]
    opened_by: OpenedBy
    per_list: str = ""
    can_block: Callable[[Facts], bool] = _anything
    foreseeable: bool = field(init=False)
    """Whether the gate may apply the check to foreseen facts, because Redis compares all facts that the check needs."""

    def __post_init__(self) -> None:
        # Computed once, because the gate reads it for every call.
        object.__setattr__(self, "foreseeable", self.needs <= FORESEEABLE)

    def sentence(self, reason: Reason) -> str:
        """Return a reason of this check as a sentence for people; an empty string for the reason of another check."""
        known = self.reasons.get(reason, "")
        return known or (self.per_list.format(list_of(reason)) if self.per_list and list_of(reason) else "")

    @property
    def opens_by_override(self) -> bool:
        """Whether an override of the lead allows a call that this check blocks."""
        return self.opened_by is OpenedBy.OVERRIDE

    @property
    def differs_by_call(self) -> bool:
        """Whether two calls at the same moment can get different rulings although the needed facts are equal."""
        return not self.depends_on <= {CallPart.MOMENT}

    @property
    def stops_every_call(self) -> bool:
        """Whether this check, if it blocks one call, blocks every other call at that moment too."""
        return self.needs <= {Need.PROJECTION} and not self.differs_by_call

    @property
    def is_do_not_call(self) -> bool:
        """Whether this check blocks because of a Do-Not-Call list: the number is listed, or it may be listed."""
        return not self.needs.isdisjoint({Need.LISTS, Need.TERMS})
