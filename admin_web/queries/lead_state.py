"""Whether a lead may be dialled, by the system of record: the rule of the gate, applied to what is recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import facts_on_record
from compliance.numbers import E164, LeadId
from compliance.policy import Facts, LiveOverride, decide
from compliance.redis_schema import INTERNAL
from compliance.terms import unchecked
from compliance.verdict import OVERRIDE, Ruling, Verdict


class LeadState(StrEnum):
    """What a person may know of any lead."""

    DIALABLE = "dialable"
    DO_NOT_CALL = "do-not-call"
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Stand:
    """The state of a lead, by the ruling of the gate on these facts at `at` (aware UTC)."""

    state: LeadState
    ruling: Ruling
    facts: Facts
    at: datetime

    @property
    def lists(self) -> tuple[str, ...]:
        """The lists that its number stands on."""
        return self.facts.listed

    @property
    def override(self) -> LiveOverride | None:
        """The override that opens it, or would."""
        return self.facts.override

    @property
    def bare(self) -> Ruling:
        """The ruling on a lead with this number that holds no override."""
        return decide(self.facts.number, self.facts._replace(lead=None), self.at)

    @property
    def if_lifted(self) -> Ruling:
        """The ruling on such a lead if the number were lifted from the company's own list."""
        rest = tuple(name for name in self.lists if name != INTERNAL)
        return decide(self.facts.number, self.facts._replace(lead=None, listed=rest), self.at)

    @property
    def blocked(self) -> bool:
        """Tell whether the number is blocked: then an override has something to open."""
        return self.bare.verdict is Verdict.BLOCK

    @property
    def unchecked(self) -> str:
        """Say why nobody can tell whether the number is listed; empty when that is known."""
        return unchecked(self.bare)

    @property
    def listed(self) -> bool:
        """Tell whether the number stands on any list."""
        return bool(self.lists)


async def stands_of(session: AsyncSession, leads: Sequence[tuple[E164, LeadId]], at: datetime) -> list[Stand]:
    """Give the stand of each lead on its number, in their order, at `at` (aware UTC)."""
    stands = []
    for facts in await facts_on_record(session, leads, at):
        ruling = decide(facts.number, facts, at)
        if ruling.reason == OVERRIDE:
            state = LeadState.OVERRIDE
        else:
            state = LeadState.DIALABLE if ruling.verdict is Verdict.ALLOW else LeadState.DO_NOT_CALL
        stands.append(Stand(state, ruling, facts, at))
    return stands
