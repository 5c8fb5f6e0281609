"""The terms of the registries: which lists a number is looked up on, and what follows where they do not know it.

A registry should cover some beginnings of numbers, and the version in force covers some of them, each until a moment at
which it is stale. Everything here is data; `compile_terms` turns it into one look-up by the longest beginning.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType

from compliance.numbers import E164
from compliance.verdict import NOT_LISTED, REGISTRY_STALE, REGISTRY_UNCOVERED, Ruling, Verdict, allow, block

CampaignId = NewType("CampaignId", str)
"""The dialer's name of a campaign: 1 to 64 ASCII letters, digits, dots, dashes and underscores."""

_WARNED = "stale-"
"""How the detail begins of a call that passes although a registry is stale."""

_CAMPAIGN = re.compile("[A-Za-z0-9_.-]{1,64}")

WARN, PASS, BLOCK = "warn", "pass", "block"
"""What happens when a registry is stale (warn or block), and to numbers that it does not cover (pass or block)."""


@dataclass(frozen=True, slots=True)
class RegistryTerms:
    """One registry: `prefixes` are the beginnings (E.164, without the plus) of the numbers that it should cover.

    `covered` are those that its version in force covers, each with the moment (aware UTC) from which it is stale.
    `spared` are campaigns to which the registry does not apply.
    """

    name: str
    prefixes: frozenset[str]
    covered: Mapping[str, datetime]
    blocks_when_stale: bool
    blocks_uncovered: bool
    spared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applying:
    """What applies to a number: the lists to ask, in order, and how to rule when it stands on none of them.

    `phases` are rulings, each until its moment (aware UTC, exclusive), ascending; `after` is the one that follows.
    """

    lists: tuple[str, ...]
    phases: tuple[tuple[datetime, Ruling], ...]
    after: Ruling

    @property
    def may_block(self) -> bool:
        """Tell whether a number on none of the lists may be blocked, now or later."""
        return any(ruling.verdict is Verdict.BLOCK for ruling in (self.after, *(one for _, one in self.phases)))

    def unlisted(self, at: datetime) -> Ruling:
        """Rule at `at` on a number that stands on none of the lists."""
        for until, ruling in self.phases:
            if at < until:
                return ruling
        return self.after


@dataclass(slots=True)
class Terms:
    """The terms, ready to be looked up; `lists` are those that the projection holds.

    What no terms speak of is asked about every number: a list that nobody described must not be passed over.
    """

    lists: tuple[str, ...]
    registries: tuple[RegistryTerms, ...]
    _tables: dict[str, "_Table"] = field(default_factory=dict)
    _known: frozenset[str] = frozenset()
    _named: frozenset[str] = frozenset()
    _longest: int = 0

    def __post_init__(self) -> None:
        self._named = frozenset(one.name for one in self.registries)
        self._known = frozenset(campaign for one in self.registries for campaign in one.spared)
        self._longest = max(map(len, _by_beginning(self.registries)), default=0)
        self._tables[""] = self._table("")

    def applying(self, number: E164, campaign: str = "") -> Applying:
        """Give what applies to a number. A campaign that no terms know of is spared nothing."""
        if campaign and campaign in self._known:
            if campaign not in self._tables:
                self._tables[campaign] = self._table(campaign)
            return self._tables[campaign].of(number)
        return self._tables[""].of(number)

    @property
    def longest(self) -> int:
        """How many digits the longest beginning has that any terms name."""
        return self._longest

    def those_applying(self, applying: Applying, names: Sequence[str]) -> tuple[str, ...]:
        """Give those of the lists that apply to a number."""
        return tuple(name for name in names if name in applying.lists or name not in self._named)

    def _table(self, campaign: str) -> "_Table":
        always = tuple(name for name in self.lists if name not in self._named)
        return _Table(self.lists, always, [one for one in self.registries if campaign not in one.spared])


class _Table:
    """The look-up for one campaign: by the longest beginning that any of its registries names."""

    def __init__(self, lists: tuple[str, ...], always: tuple[str, ...], registries: Sequence[RegistryTerms]) -> None:
        self._elsewhere = Applying(always, (), allow(NOT_LISTED))
        held, naming = frozenset(lists), _by_beginning(registries)
        self._lengths = tuple(sorted({len(key) for key in naming}, reverse=True))
        # Most beginnings are alike: they share one object.
        alike: dict[Applying, Applying] = {}
        self._of: dict[str, Applying] = {}
        for key in naming:
            applying = _applying(_longest(key, naming), held, always)
            self._of[key] = alike.setdefault(applying, applying)

    def of(self, number: E164) -> Applying:
        for length in self._lengths:
            if found := self._of.get(number[1 : length + 1]):
                return found
        return self._elsewhere


def _by_beginning(registries: Iterable[RegistryTerms]) -> dict[str, list[RegistryTerms]]:
    """Give the registries that name each beginning."""
    naming: dict[str, list[RegistryTerms]] = defaultdict(list)
    for one in registries:
        for start in one.prefixes | one.covered.keys():
            naming[start].append(one)
    return dict(naming)


def _longest(prefix: str, naming: Mapping[str, Sequence[RegistryTerms]]) -> list[tuple[RegistryTerms, str]]:
    """Give the registries to which the numbers that begin with `prefix` matter, by name, each with the longest
    beginning of them that it names."""
    found: dict[str, tuple[RegistryTerms, str]] = {}
    for length in range(len(prefix), 0, -1):
        for one in naming.get(prefix[:length], ()):
            found.setdefault(one.name, (one, prefix[:length]))
    return [found[name] for name in sorted(found)]


def _applying(named: Sequence[tuple[RegistryTerms, str]], held: frozenset[str], always: tuple[str, ...]) -> Applying:
    """Work out what applies to numbers that these registries name, each by this beginning.

    The company's own lists come first, then the registries by name: which of several is the reason must not depend on
    the order in which they came.
    """
    # A registry of which the projection holds nothing covers nothing, whatever was said of it.
    stale = [(one.covered[start], one) for one, start in named if start in one.covered and one.name in held]
    uncovered = [one for one, start in named if start not in one.covered or one.name not in held]
    moments = sorted({until for until, _ in stale})
    phases = tuple((until, _ruling([one for end, one in stale if end < until], uncovered)) for until in moments)
    asked = (*always, *(one.name for one, _ in named if one.name in held))
    return Applying(asked, phases, _ruling([one for _, one in stale], uncovered))


def _ruling(stale: Sequence[RegistryTerms], uncovered: Sequence[RegistryTerms]) -> Ruling:
    """Rule on a number on no list while these registries are stale, and these do not cover it; blocks come first."""
    for one in stale:
        if one.blocks_when_stale:
            return block(REGISTRY_STALE, one.name)
    for one in sorted(uncovered, key=lambda one: not one.blocks_uncovered):
        return Ruling(Verdict.BLOCK if one.blocks_uncovered else Verdict.ALLOW, REGISTRY_UNCOVERED, one.name)
    return allow(NOT_LISTED, detail=f"{_WARNED}{stale[0].name}" if stale else "")


def unchecked(ruling: Ruling) -> str:
    """Say why nobody can tell whether a number is listed, as the end of a sentence; empty when that is known."""
    if ruling.reason == REGISTRY_UNCOVERED:
        return f"{ruling.detail} should cover the number and was never imported for it"
    if ruling.reason == REGISTRY_STALE:
        return f"the copy of {ruling.detail} is too old"
    if ruling.reason == NOT_LISTED and ruling.detail.startswith(_WARNED):
        return f"the copy of {ruling.detail.removeprefix(_WARNED)} is too old"
    return ""


def campaign_id(text: str) -> CampaignId | None:
    """Read a campaign; None unless the whole text is one."""
    return CampaignId(text) if _CAMPAIGN.fullmatch(text) else None
