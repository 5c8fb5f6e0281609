"""Whether a lead may be dialled, by the system of record: the rule of the gate, applied to what is recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.services.facts import facts_on_record
from compliance.numbers import E164, LeadId
from compliance.policy import LiveOverride, decide
from compliance.verdict import OVERRIDE, Verdict


class LeadState(StrEnum):
    """What a person may know of any lead."""

    DIALABLE = "dialable"
    DO_NOT_CALL = "do-not-call"
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Stand:
    """The state of a lead, the lists that its number stands on, and the override that would open it."""

    state: LeadState
    lists: tuple[str, ...]
    override: LiveOverride | None

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
        stands.append(Stand(state, facts.listed, facts.override))
    return stands
