"""The rule, applied by the system of record to a great many numbers at once.

The rule looks at a number only to see that the facts are that number's own. So numbers of which the same is known share
one ruling, and what is known of each is held in columns: most of a million stand on no list.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.judging.facts import RECORD, live_overrides
from admin_web.judging.listing import MOST_NUMBERS, Membership, Numbers, spelled, standing_of
from admin_web.judging.terms import compiled_terms
from admin_web.record.lines import LINES, Flags
from compliance.numbers import E164, InvalidNumber, LeadId
from compliance.policy import Facts, decide
from compliance.terms import Terms
from compliance.verdict import Ruling, Verdict

NO_NUMBER = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of numbers: `facts` at the place that `kinds` has for each, those of one number for all alike."""

    kinds: Numbers
    facts: Sequence[Facts]


@dataclass(frozen=True, slots=True)
class Rulings:
    """What the rule says at `at` of the numbers that were asked about: `bare` at the place that `kinds` has for each.

    `apart` are the places where that is not all: there is no number, or leads hold overrides on it, `opened`.
    """

    at: datetime
    kinds: Numbers
    bare: Sequence[Ruling]
    apart: Numbers
    opened: Mapping[tuple[E164, LeadId | None], Ruling]

    def of(
        self, numbers: Sequence[E164 | InvalidNumber], leads: Sequence[LeadId | None], first: int = 0
    ) -> list[Ruling]:
        """Give the rulings on the numbers that were asked about from the place `first` on, for leads."""
        end = first + len(numbers)
        rulings = list(map(self.bare.__getitem__, self.kinds[first:end].tolist()))
        begin, stop = np.searchsorted(self.apart, [first, end])
        for place in (self.apart[begin:stop] - first).tolist():
            rulings[place] = self._apart(numbers[place], leads[place]) or rulings[place]
        return rulings

    def _apart(self, number: E164 | InvalidNumber, lead: LeadId | None) -> Ruling | None:
        if isinstance(number, InvalidNumber):
            return decide(number, None, self.at)
        return self.opened.get((number, lead))


def integers(numbers: Sequence[E164 | InvalidNumber]) -> Numbers:
    """Give numbers without their plus, NO_NUMBER for what is none."""
    read = (NO_NUMBER if isinstance(number, InvalidNumber) else int(number) for number in numbers)
    return np.fromiter(read, np.int64, len(numbers))


async def rulings_on_record(
    session: AsyncSession, asked: Numbers, at: datetime, aside: Callable[..., Awaitable[Any]] = asyncio.to_thread
) -> Rulings:
    """Rule on many numbers at `at` (aware UTC); NO_NUMBER stands where there is none.

    `aside` does what takes long somewhere else.
    """
    numbers, places = await aside(_distinct, asked)
    terms, standing = await compiled_terms(session), await standing_of(session, numbers)
    known: Known = await aside(_known_alike, terms, standing, numbers)
    bare = [decide(facts.number, facts, at) for facts in known.facts]
    blocked = np.array([ruling.verdict is Verdict.BLOCK for ruling in bare], np.bool_)[known.kinds]
    opened = await _opened(session, known, numbers, blocked, at)
    apart = np.isin(asked, [NO_NUMBER, *(int(number) for number, _ in opened)])
    return Rulings(at, known.kinds[places], bare, np.flatnonzero(apart), opened)


def _distinct(asked: Numbers) -> tuple[Numbers, Numbers]:
    """Give the distinct numbers, ascending, and at which place among them each stands."""
    numbers, places = np.unique(asked, return_inverse=True)
    return numbers, places


def _known_alike(terms: Terms, standing: Membership, numbers: Numbers) -> Known:
    """Tell those numbers apart of which not the same is known. They are distinct and ascend."""
    _, firsts, places = np.unique(_heads(terms, numbers), return_index=True, return_inverse=True)
    applying = [terms.applying(number) for number in spelled(numbers[firsts])]
    apart = {id(one): place for place, one in enumerate({id(one): one for one in applying}.values())}
    applied = np.array([apart[id(one)] for one in applying], np.int64)[places]
    _, firsts, kinds = np.unique(applied * len(standing.lists) + standing.kinds, return_index=True, return_inverse=True)
    facts = [
        _facts(terms, number, standing.lists[kind])
        for number, kind in zip(spelled(numbers[firsts]), standing.kinds[firsts].tolist(), strict=True)
    ]
    return Known(kinds, facts)


def _heads(terms: Terms, numbers: Numbers) -> Numbers:
    """Give what the terms tell numbers apart by: the exchange, or all of it where a beginning may end in the line."""
    exchanges = numbers // LINES
    return np.where(exchanges >= 10 ** (terms.longest - 1), exchanges, -numbers)


def _facts(terms: Terms, number: E164, lists: Sequence[str]) -> Facts:
    applying = terms.applying(number)
    listed = terms.those_applying(applying, lists)
    return Facts(number, None, RECORD.incarnation, RECORD, True, listed, None, applying)


async def _opened(
    session: AsyncSession, known: Known, numbers: Numbers, blocked: Flags, at: datetime
) -> dict[tuple[E164, LeadId | None], Ruling]:
    """Rule on the leads that hold an override on a number that is blocked."""
    opened: dict[tuple[E164, LeadId | None], Ruling] = {}
    closed = numbers[blocked]
    for begin in range(0, len(closed), MOST_NUMBERS):
        live = await live_overrides(session, spelled(closed[begin : begin + MOST_NUMBERS]), at)
        for (number, lead), override in live.items():
            facts = known.facts[known.kinds[np.searchsorted(numbers, int(number))]]
            mine = facts._replace(number=number, lead=lead, override=override)
            opened[number, lead] = decide(number, mine, at)
    return opened
