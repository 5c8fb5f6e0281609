"""Whether a lead may be called: the gate's rule, applied to the facts in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import read_record
from admin_web.record.lead_numbers import LabelledNumber, further_numbers
from compliance import rule
from compliance.check import Need
from compliance.facts import Facts, LiveOverride
from compliance.numbers import E164, LeadId
from compliance.redis_schema import INTERNAL
from compliance.terms import unchecked
from compliance.verdict import OVERRIDE, Ruling, Verdict


class LeadState(StrEnum):
    """State of a lead, which every role may see. BLOCKED is a block for another reason than a Do-Not-Call list."""

    DIALABLE = "dialable"
    DO_NOT_CALL = "do-not-call"
    OVERRIDE = "override"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Stand:
    """The state of a lead, by the gate's ruling on these facts at `at` (aware UTC).

    `elsewhere` has the campaign lists that its number is on, each with the campaigns for which it blocks calls.
    """

    state: LeadState
    ruling: Ruling
    facts: Facts
    at: datetime
    elsewhere: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def pattern(self) -> str:
        """The pattern of the company's own list that covers its number; empty if there is none."""
        return self.facts.applying.pattern if self.facts.applying else ""

    @property
    def dialable(self) -> bool:
        """Whether the gate would let a call to this lead pass."""
        return self.ruling.verdict is Verdict.ALLOW

    @property
    def lists(self) -> tuple[str, ...]:
        """The lists that its number is on."""
        return self.facts.listed

    @property
    def listed(self) -> bool:
        """Whether its number is on any list."""
        return bool(self.lists)

    @property
    def override(self) -> LiveOverride | None:
        """The lead's live override, whether or not its number is blocked."""
        return self.facts.override

    @property
    def bare(self) -> Ruling:
        """The ruling on this lead without its override."""
        return rule.judge(self.facts._replace(override=None), self.at)

    @property
    def objections(self) -> list[rule.Objection]:
        """Every block of this lead without its override."""
        return rule.objections(self.facts, self.at)

    @property
    def openable(self) -> bool:
        """Whether an override would have an effect, that is, open some block of this lead."""
        return any(one.check.opens_by_override for one in self.objections)

    @property
    def final(self) -> list[Ruling]:
        """The blocks of this lead that no override opens."""
        return [one.ruling for one in self.objections if not one.check.opens_by_override]

    @property
    def if_lifted(self) -> Ruling:
        """The ruling on this lead, without its override, if the number were lifted from the company's own list."""
        rest = tuple(name for name in self.lists if name != INTERNAL)
        return rule.judge(self.facts._replace(override=None, listed=rest), self.at)

    @property
    def unchecked(self) -> str:
        """Why it is unknown whether the number is listed, as the end of a sentence; empty when it is known."""
        return unchecked_by(self.facts, self.at)


@dataclass(frozen=True, slots=True)
class NumberStand:
    """One number of a lead, its label, and the stand of the lead on it."""

    number: E164
    label: str
    stand: Stand


def best_of(numbers: Sequence[NumberStand]) -> NumberStand:
    """Return the first number on which the lead may be called; if there is none, the lead's first number."""
    return next((one for one in numbers if one.stand.dialable), numbers[0])


def unchecked_by(facts: Facts, at: datetime) -> str:
    """Return why it is unknown whether a number is listed, as the end of a sentence; empty when it is known."""
    blocks = [one.ruling for one in rule.objections(facts, at)]
    bare = rule.judge(facts._replace(override=None), at)
    return next(filter(None, map(unchecked, (*blocks, bare))), "")


def state_of(ruling: Ruling) -> LeadState:
    """Return the state of a lead with this ruling."""
    if ruling.reason == OVERRIDE:
        return LeadState.OVERRIDE
    if ruling.verdict is Verdict.ALLOW:
        return LeadState.DIALABLE
    check = rule.check_of(ruling.reason)
    return LeadState.DO_NOT_CALL if check is not None and check.is_do_not_call else LeadState.BLOCKED


def possible_states() -> list[LeadState]:
    """Return the states that the checks of the rule can lead to."""
    others = any(not check.is_do_not_call and Need.PROJECTION not in check.needs for check in rule.CHECKS)
    return [state for state in LeadState if others or state is not LeadState.BLOCKED]


async def numbers_stands(
    session: AsyncSession, firsts: Sequence[tuple[LeadId, LabelledNumber]], at: datetime
) -> list[list[NumberStand]]:
    """Return the stand on each number of these leads, whose first numbers are known, at `at` (aware UTC)."""
    others = await further_numbers(session, [lead for lead, _ in firsts])
    numbers = [(lead, [first, *others.get(lead, ())]) for lead, first in firsts]
    stands = iter(await stands_of(session, [(one.number, lead) for lead, some in numbers for one in some], at))
    return [[NumberStand(number, label, next(stands)) for number, label in some] for _, some in numbers]


async def stands_of(session: AsyncSession, leads: Sequence[tuple[E164, LeadId]], at: datetime) -> list[Stand]:
    """Return the stand of each lead, with its number, at `at` (aware UTC), in the order of `leads`."""
    record = await read_record(session, leads, at)
    rulings = [(facts, rule.judge(facts, at)) for facts in record.facts]
    return [Stand(state_of(ruling), ruling, facts, at, record.elsewhere[facts.number]) for facts, ruling in rulings]
