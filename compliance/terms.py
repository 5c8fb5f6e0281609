"""The terms: on which lists a number is looked up, and the ruling on a number that is on none of them.

Each registry should cover certain prefixes of numbers. Its version in force covers some of these prefixes, and each of
them becomes stale at a moment of its own. A pattern is a prefix that the company's own list blocks. A campaign list
applies only to calls of its campaigns. `Terms` turns this data into one look-up by the longest prefix.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, NewType

from compliance.numbers import E164
from compliance.verdict import FREE, NOT_LISTED, Reason, Ruling, Verdict, allow, block

REGISTRY_STALE = Reason("registry-stale")
REGISTRY_UNCOVERED = Reason("registry-uncovered")

CampaignId = NewType("CampaignId", str)
"""The dialer's name for a campaign: 1 to 64 ASCII letters, digits, dots, dashes and underscores."""

_WARNED = "stale-"
"""Prefix of the detail of a call that passes although a registry is stale."""

_CAMPAIGN = re.compile("[A-Za-z0-9_.-]{1,64}")

WARN, PASS, BLOCK = "warn", "pass", "block"
"""What happens to calls when a registry is stale (warn or block) or does not cover the number (pass or block)."""


@dataclass(frozen=True, slots=True)
class RegistryTerms:
    """The terms of one registry. `prefixes` are the prefixes of E.164 numbers that it should cover, without the plus.

    `covered` has the prefixes that the version in force covers, each with the moment (aware UTC) from which it is
    stale. `spared` has the campaigns that are exempt: the registry does not apply to their calls.
    """

    name: str
    prefixes: frozenset[str]
    covered: Mapping[str, datetime]
    blocks_when_stale: bool
    blocks_uncovered: bool
    spared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CampaignList:
    """One of the company's own lists that applies only to calls of these campaigns."""

    name: str
    campaigns: tuple[str, ...]


class AllTerms(NamedTuple):
    """The terms of all registries, the patterns (digits without the plus), and the campaign lists."""

    registries: tuple[RegistryTerms, ...] = ()
    patterns: tuple[str, ...] = ()
    campaign_lists: tuple[CampaignList, ...] = ()


@dataclass(frozen=True, slots=True)
class Applying:
    """What applies to a number: the lists to look it up on, in order, and the rulings if it is on none of them.

    `phases` has pairs of a moment (aware UTC) and the ruling before that moment, ascending. `after` is the ruling from
    the last moment on. `pattern` is the longest pattern with which the number begins, empty if there is none.
    """

    lists: tuple[str, ...]
    phases: tuple[tuple[datetime, Ruling], ...]
    after: Ruling
    pattern: str = ""

    @property
    def may_block(self) -> bool:
        """Whether there is a moment at which a number on none of the lists is blocked."""
        return any(ruling.verdict is Verdict.BLOCK for ruling in (self.after, *(one for _, one in self.phases)))

    def unlisted(self, at: datetime) -> Ruling:
        """Return the ruling at `at` (aware UTC) on a number that is on none of the lists."""
        for until, ruling in self.phases:
            if at < until:
                return ruling
        return self.after


@dataclass(slots=True)
class Terms:
    """All terms, ready for look-ups. `lists` are the lists that the projection holds.

    A list without terms applies to every call, because skipping it could allow a listed number.
    """

    lists: tuple[str, ...]
    registries: tuple[RegistryTerms, ...]
    patterns: tuple[str, ...] = ()
    campaign_lists: tuple[CampaignList, ...] = ()
    _tables: dict[str, "_Table"] = field(default_factory=dict)
    _known: frozenset[str] = frozenset()
    _named: frozenset[str] = frozenset()
    _campaigns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _longest: int = 0

    def __post_init__(self) -> None:
        self._named = frozenset(one.name for one in self.registries)
        self._campaigns = {one.name: one.campaigns for one in self.campaign_lists if one.name not in self._named}
        spared = (campaign for one in self.registries for campaign in one.spared)
        self._known = frozenset(spared).union(*self._campaigns.values())
        self._longest = max(map(len, (*_by_prefix(self.registries), *self.patterns)), default=0)
        self._tables[""] = self._table("")

    def applying(self, number: E164, campaign: str = "") -> Applying:
        """Return what applies to a number.

        A campaign that the terms do not name is not exempt from any registry, and no campaign list applies to it.
        """
        if campaign and campaign in self._known:
            if campaign not in self._tables:
                self._tables[campaign] = self._table(campaign)
            return self._tables[campaign].of(number)
        return self._tables[""].of(number)

    @property
    def longest(self) -> int:
        """Number of digits of the longest prefix in the terms."""
        return self._longest

    def applicable(self, applying: Applying, names: Sequence[str]) -> tuple[str, ...]:
        """Return the lists among `names` that apply to a number."""
        return tuple(name for name in names if name in applying.lists or not self._has_terms(name))

    def campaigns_of(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the campaign lists among `names`, each with the campaigns to whose calls it applies."""
        return {name: self._campaigns[name] for name in names if name in self._campaigns}

    def _has_terms(self, name: str) -> bool:
        return name in self._named or name in self._campaigns

    def _table(self, campaign: str) -> "_Table":
        always = tuple(
            name for name in self.lists if not self._has_terms(name) or campaign in self._campaigns.get(name, ())
        )
        registries = [one for one in self.registries if campaign not in one.spared]
        return _Table(self.lists, always, registries, frozenset(self.patterns))


class _Table:
    """The look-up for one campaign, by the longest prefix that any of its registries names, or that is a pattern."""

    def __init__(
        self,
        lists: tuple[str, ...],
        always: tuple[str, ...],
        registries: Sequence[RegistryTerms],
        patterns: frozenset[str],
    ) -> None:
        self._elsewhere = Applying(always, (), FREE)
        held, naming = frozenset(lists), _by_prefix(registries)
        # Most prefixes have equal terms. They share one object, so that callers can compare by identity.
        alike: dict[Applying, Applying] = {}
        plain: dict[str, Applying] = {}
        for key in naming:
            applying = _applying(_longest(key, naming), held, always)
            plain[key] = alike.setdefault(applying, applying)
        self._of = _with_patterns(plain, patterns, self._elsewhere)
        self._lengths = tuple(sorted({len(key) for key in self._of}, reverse=True))

    def of(self, number: E164) -> Applying:
        for length in self._lengths:
            if found := self._of.get(number[1 : length + 1]):
                return found
        return self._elsewhere


def _by_prefix(registries: Iterable[RegistryTerms]) -> dict[str, list[RegistryTerms]]:
    """Return the registries that name each prefix."""
    naming: dict[str, list[RegistryTerms]] = defaultdict(list)
    for one in registries:
        for start in one.prefixes | one.covered.keys():
            naming[start].append(one)
    return dict(naming)


def _longest(prefix: str, naming: Mapping[str, Sequence[RegistryTerms]]) -> list[tuple[RegistryTerms, str]]:
    """Return the registries that name `prefix` or a beginning of it, sorted, each with its longest match."""
    found: dict[str, tuple[RegistryTerms, str]] = {}
    for length in range(len(prefix), 0, -1):
        for one in naming.get(prefix[:length], ()):
            found.setdefault(one.name, (one, prefix[:length]))
    return [found[name] for name in sorted(found)]


def _with_patterns(plain: Mapping[str, Applying], patterns: frozenset[str], elsewhere: Applying) -> dict[str, Applying]:
    """Return what applies to numbers by their longest prefix, given what applies by the registries alone."""
    covered: dict[tuple[int, str], Applying] = {}
    found = dict(plain)
    for key in plain.keys() | patterns if patterns else ():
        beginnings = [key[:length] for length in range(len(key), 0, -1)]
        applying = next((plain[one] for one in beginnings if one in plain), elsewhere)
        if pattern := next((one for one in beginnings if one in patterns), ""):
            # Not `replace`, and shared by identity: thousands of patterns must not delay the calls of this process.
            whole = Applying(applying.lists, applying.phases, applying.after, pattern)
            applying = covered.setdefault((id(applying), pattern), whole)
        found[key] = applying
    return found


def _applying(named: Sequence[tuple[RegistryTerms, str]], held: frozenset[str], always: tuple[str, ...]) -> Applying:
    """Return what applies to the numbers of some registries. `named` has each registry with its longest match.

    The company's own lists come first, then the registries by name. If a number is on several lists, its reason must
    not depend on the order in which the lists were read.
    """
    # If the projection has no copy of a registry, the registry covers no number, whatever its terms say.
    stale = [(one.covered[start], one) for one, start in named if start in one.covered and one.name in held]
    uncovered = [one for one, start in named if start not in one.covered or one.name not in held]
    moments = sorted({until for until, _ in stale})
    phases = tuple((until, _ruling([one for end, one in stale if end < until], uncovered)) for until in moments)
    asked = (*always, *(one.name for one, _ in named if one.name in held))
    return Applying(asked, phases, _ruling([one for _, one in stale], uncovered))


def _ruling(stale: Sequence[RegistryTerms], uncovered: Sequence[RegistryTerms]) -> Ruling:
    """Return the ruling on an unlisted number that these registries do not cover, or cover with a stale copy.

    A registry that blocks takes precedence over one that lets calls pass.
    """
    for one in stale:
        if one.blocks_when_stale:
            return block(REGISTRY_STALE, one.name)
    for one in sorted(uncovered, key=lambda one: not one.blocks_uncovered):
        return Ruling(Verdict.BLOCK if one.blocks_uncovered else Verdict.ALLOW, REGISTRY_UNCOVERED, one.name)
    return allow(NOT_LISTED, f"{_WARNED}{stale[0].name}") if stale else FREE


def unchecked(ruling: Ruling) -> str:
    """Return why it is uncertain whether a number is listed, as the end of a sentence; empty if it is certain."""
    if ruling.reason == REGISTRY_UNCOVERED:
        return f"{ruling.detail} should cover the number and was never imported for it"
    if ruling.reason == REGISTRY_STALE:
        return f"the copy of {ruling.detail} is too old"
    if ruling.reason == NOT_LISTED and ruling.detail.startswith(_WARNED):
        return f"the copy of {ruling.detail.removeprefix(_WARNED)} is too old"
    return ""


def campaign_id(text: str) -> CampaignId | None:
    """Return `text` as a campaign id; None if it is not a valid campaign id."""
    return CampaignId(text) if _CAMPAIGN.fullmatch(text) else None
