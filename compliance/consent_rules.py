"""What a consent can open. This depends on its basis, its age, and the day of the person's own request.

`POLICIES` are the policies that an installation can choose (`DNC_CONSENT_POLICY`). They are data, so that the site
shows exactly the values by which overrides are granted.
"""

from calendar import monthrange
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from enum import StrEnum
from types import MappingProxyType

from compliance.consent import Basis, ends_at
from compliance.zones import start_of


class Origin(StrEnum):
    """What blocks a number."""

    REQUEST = "request"
    """The person's own request not to be called."""

    OWN_LIST = "own-list"
    """An entry of the company's own list that is not a request, such as an imported one."""

    REGISTRY = "registry"


class Tie(StrEnum):
    """What an existing relationship rests on. The consent is dated with the last purchase or inquiry."""

    PURCHASE = "purchase"
    INQUIRY = "inquiry"


WRITTEN = frozenset({Basis.SIGNED_CONSENT, Basis.WRITTEN_CONSENT})
EVERYTHING = frozenset(Origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentPolicy:
    """Which basis lifts which block, how long a relationship lasts, and how old a consent may be.

    `lifts` maps each basis to what it can open. `months` has the calendar months for which an existing relationship
    lasts after its last purchase or inquiry. If `months` is empty, a consent need not say which of the two it was.
    `oldest_years` maps each basis to the maximum age of a consent in years.
    """

    name: str
    summary: str
    lifts: Mapping[Basis, frozenset[Origin]]
    months: Mapping[Tie, int] = field(default_factory=lambda: MappingProxyType({}))
    oldest_years: Mapping[Basis, int]

    def closed_to(self, basis: Basis, origins: Collection[Origin]) -> list[Origin]:
        """Return those of `origins` that a consent on this basis does not lift, in the order of `Origin`."""
        return [origin for origin in Origin if origin in origins and origin not in self.lifts[basis]]

    def asks_for_tie(self, basis: Basis) -> bool:
        """Return whether a consent on this basis must say what the relationship rests on."""
        return basis is Basis.EXISTING_RELATIONSHIP and bool(self.months)

    def oldest(self, basis: Basis, today: date) -> date:
        """Return the earliest date that a consent on this basis may have."""
        return _months_later(today, -12 * self.oldest_years[basis])


_YEARS = MappingProxyType(
    {Basis.SIGNED_CONSENT: 10, Basis.WRITTEN_CONSENT: 10, Basis.EXISTING_RELATIONSHIP: 3, Basis.OTHER: 5}
)

AS_DOCUMENTED = ConsentPolicy(
    name="as-documented",
    summary="Any documented consent opens any list, but never a request that is newer than the consent.",
    lifts=MappingProxyType(dict.fromkeys(Basis, EVERYTHING)),
    oldest_years=_YEARS,
)

US_STRICT = ConsentPolicy(
    name="us-strict",
    summary="Only signed or written consent opens a number after the person's own request. An existing relationship "
    "opens the other lists for 18 months after the last purchase, or 3 months after the last inquiry "
    "(47 CFR 64.1200(f)(5)).",
    lifts=MappingProxyType({one: EVERYTHING if one in WRITTEN else EVERYTHING - {Origin.REQUEST} for one in Basis}),
    months=MappingProxyType({Tie.PURCHASE: 18, Tie.INQUIRY: 3}),
    oldest_years=_YEARS,
)

POLICIES: Mapping[str, ConsentPolicy] = MappingProxyType({one.name: one for one in (AS_DOCUMENTED, US_STRICT)})


@dataclass(frozen=True, slots=True)
class ConsentRules:
    """The rules of one installation: its policy, its time zone, and whether an override is held until its review."""

    policy: ConsentPolicy = AS_DOCUMENTED
    zone: tzinfo = UTC
    reviewed_first: bool = False

    def today(self, at: datetime) -> date:
        """Return the day at `at` (aware) in the installation's time zone."""
        return at.astimezone(self.zone).date()

    def end_of(self, placed_at: datetime, basis: Basis, tie: Tie | None, consented_on: date) -> datetime:
        """Return the latest end (aware UTC) of an override that is placed at `placed_at` (aware UTC).

        The end is never later than twelve months from the placing. An existing relationship ends at the beginning of
        its last day in the installation's zone, if the policy limits it.
        """
        latest = ends_at(placed_at)
        if tie is None or not self.policy.asks_for_tie(basis):
            return latest
        return min(latest, self.begin_of(_months_later(consented_on, self.policy.months[tie])))

    def begin_of(self, day: date) -> datetime:
        """Return the moment (aware UTC) at which a day begins in the installation's time zone."""
        return start_of(day, self.zone)


def _months_later(day: date, months: int) -> date:
    """Return the day `months` calendar months later; if that month is too short, return its last day."""
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(years, month + 1, min(day.day, monthrange(years, month + 1)[1]))
