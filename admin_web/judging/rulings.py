"""The rule, applied by the system of record to many numbers at once.

Most of a million numbers are on no list, and the rule decides the same for all of them. So numbers with the same facts
form a group. Checks that depend only on these facts and on the moment judge each group once. If `CHECKS` contains a
check that depends on the number or the lead itself, every row is judged separately.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any, cast

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import facts_of, live_overrides
from admin_web.judging.listing import MOST_NUMBERS, Membership, Numbers, spelled, standing_of
from admin_web.judging.terms import compiled_terms
from admin_web.record.lines import LINES, Flags
from compliance import rule
from compliance.check import Check
from compliance.facts import Facts, LiveOverride
from compliance.numbers import E164, InvalidNumber, LeadId
from compliance.terms import Terms
from compliance.verdict import Ruling, Verdict

NO_NUMBER = 0

BLOCKED_FOR = "blocked-for "
"""Begins the detail of an allowed row that a campaign list blocks for other campaigns, which follow it."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Numbers grouped by their facts. `kinds` has the group of each number, as an index into `facts`.

    The facts of a group are those of one of its numbers, without a lead. `elsewhere` has, for each group, the campaigns
    for which a campaign list blocks its numbers although it does not apply to the campaign that is judged.
    """

    kinds: Numbers
    facts: Sequence[Facts]
    elsewhere: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Rulings:
    """The rulings at `at` (aware UTC) on the rows of a list.

    `groups` has the group of each row, and `shared` the ruling of each group. `apart` has the indexes of rows that
    need a separate ruling: rows without a number, and rows whose number has one of the `overrides`. With `by_row` every
    row is judged separately.
    """

    at: datetime
    groups: Groups
    shared: Sequence[Ruling]
    apart: Numbers
    overrides: Mapping[tuple[E164, LeadId | None], LiveOverride]
    by_row: bool

    def of(
        self, numbers: Sequence[E164 | InvalidNumber], leads: Sequence[LeadId | None], first: int = 0
    ) -> list[Ruling]:
        """Return the rulings on the rows that begin at index `first` and have these numbers and leads."""
        kinds = self.groups.kinds[first : first + len(numbers)].tolist()
        rulings = list(map(self.shared.__getitem__, kinds))
        for row in range(len(numbers)) if self.by_row else self._rows_apart(first, first + len(numbers)):
            rulings[row] = self._ruling(kinds[row], numbers[row], leads[row])
        return rulings

    def _rows_apart(self, first: int, end: int) -> Sequence[int]:
        begin, stop = np.searchsorted(self.apart, [first, end])
        return cast("list[int]", (self.apart[begin:stop] - first).tolist())

    def _ruling(self, kind: int, number: E164 | InvalidNumber, lead: LeadId | None) -> Ruling:
        if isinstance(number, InvalidNumber):
            return rule.decide(number, None, self.at)
        override = self.overrides.get((number, lead))
        ruling = rule.judge(self.groups.facts[kind]._replace(number=number, lead=lead, override=override), self.at)
        return ruling if override else with_campaigns(ruling, self.groups.elsewhere[kind])


def with_campaigns(ruling: Ruling, campaigns: Sequence[str]) -> Ruling:
    """Return the ruling; if it allows the call, its detail also names the campaigns for which the number is blocked."""
    if not campaigns or ruling.verdict is Verdict.BLOCK:
        return ruling
    return replace(ruling, detail=f"{ruling.detail} {BLOCKED_FOR}{' '.join(campaigns)}".strip())


def integers(numbers: Sequence[E164 | InvalidNumber]) -> Numbers:
    """Return the numbers as integers, with NO_NUMBER for each invalid one."""
    read = (NO_NUMBER if isinstance(number, InvalidNumber) else int(number) for number in numbers)
    return np.fromiter(read, np.int64, len(numbers))


async def rulings_on_record(
    session: AsyncSession,
    rows: Numbers,
    at: datetime,
    aside: Callable[..., Awaitable[Any]] = asyncio.to_thread,
    campaign: str = "",
) -> Rulings:
    """Judge the numbers of many rows at `at` (aware UTC), for a campaign. NO_NUMBER marks a row without a number.

    `aside` runs long computations outside the event loop.
    """
    numbers, indexes = await aside(_distinct, rows)
    terms, membership = await compiled_terms(session), await standing_of(session, numbers)
    groups: Groups = await aside(_grouped, terms, membership, numbers, campaign)
    by_row = [check for check in rule.CHECKS if check.differs_by_call]
    by_group = [check for check in rule.CHECKS if not check.differs_by_call]
    # A check of single rows may block any number, so an override may matter for any number.
    anywhere = any(check.opens_by_override for check in by_row)
    overrides = await _overrides(session, numbers if anywhere else numbers[_openable(groups, at, by_group)], at)
    return Rulings(
        at,
        Groups(groups.kinds[indexes], groups.facts, groups.elsewhere),
        [
            with_campaigns(rule.judge(facts, at, by_group), campaigns)
            for facts, campaigns in zip(groups.facts, groups.elsewhere, strict=True)
        ],
        np.flatnonzero(np.isin(rows, [NO_NUMBER, *(int(number) for number, _ in overrides)])),
        overrides,
        bool(by_row),
    )


def _distinct(rows: Numbers) -> tuple[Numbers, Numbers]:
    """Return the distinct numbers in ascending order, and for each row the index of its number among them."""
    numbers, indexes = np.unique(rows, return_inverse=True)
    return numbers, indexes


def _grouped(terms: Terms, membership: Membership, numbers: Numbers, campaign: str = "") -> Groups:
    """Group distinct, ascending numbers by their facts, that is, by their lists and their terms."""
    _, firsts, places = np.unique(_heads(terms, numbers), return_index=True, return_inverse=True)
    applying = [terms.applying(number, campaign) for number in spelled(numbers[firsts])]
    known = {id(one): place for place, one in enumerate({id(one): one for one in applying}.values())}
    applied = np.array([known[id(one)] for one in applying], np.int64)[places]
    both = applied * len(membership.lists) + membership.kinds
    _, firsts, kinds = np.unique(both, return_index=True, return_inverse=True)
    lists = [membership.lists[kind] for kind in membership.kinds[firsts].tolist()]
    facts = [facts_of(terms, number, on, campaign) for number, on in zip(spelled(numbers[firsts]), lists, strict=True)]
    return Groups(kinds, facts, [_elsewhere(terms, on, one) for on, one in zip(lists, facts, strict=True)])


def _elsewhere(terms: Terms, lists: Sequence[str], facts: Facts) -> tuple[str, ...]:
    """Return the campaigns for which the campaign lists among `lists` block, if they do not apply to these facts."""
    others = terms.campaigns_of(name for name in lists if name not in facts.listed)
    return tuple(sorted({campaign for campaigns in others.values() for campaign in campaigns}))


def _heads(terms: Terms, numbers: Numbers) -> Numbers:
    """Return for each number the part that determines its terms: the exchange, or the whole number if a prefix may be
    longer than the exchange.
    """
    exchanges = numbers // LINES
    return np.where(exchanges >= 10 ** (terms.longest - 1), exchanges, -numbers)


def _openable(groups: Groups, at: datetime, checks: Sequence[Check]) -> Flags:
    """Return for each number whether a check that an override can lift blocks it at `at`, for any campaign."""
    blocks = (rule.objections(facts, at, checks) for facts in groups.facts)
    openable = [any(one.check.opens_by_override for one in of_group) for of_group in blocks]
    return (np.array(openable, np.bool_) | [bool(campaigns) for campaigns in groups.elsewhere])[groups.kinds]


async def _overrides(
    session: AsyncSession, numbers: Numbers, at: datetime
) -> dict[tuple[E164, LeadId | None], LiveOverride]:
    """Read the live overrides on these numbers, with at most MOST_NUMBERS numbers in one statement."""
    parts = [
        await live_overrides(session, spelled(numbers[begin : begin + MOST_NUMBERS]), at)
        for begin in range(0, len(numbers), MOST_NUMBERS)
    ]
    return dict(chain.from_iterable(part.items() for part in parts))
