"""Whether an override can open a lead: what its facts allow, and what a consent must have to open them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType

from compliance import dates
from compliance.consent import Basis, ends_at
from compliance.consent_rules import ConsentPolicy, Origin
from compliance.facts import Facts
from compliance.numbers import E164, LeadId
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused
from compliance.rule import objections, sentence_of

RENEWABLE = timedelta(days=30)
"""An override can be renewed when at most this much time is left."""

_NOWHERE: Mapping[str, Sequence[str]] = MappingProxyType({})

_ORIGINS = {
    Origin.REQUEST: "a number whose owner asked not to be called",
    Origin.OWN_LIST: "the company's own list",
    Origin.REGISTRY: "a registry",
}


class NotSuppressed(Refused):
    """The number is not blocked, so an override has no purpose."""


class NotOpenable(Refused):
    """The lead is blocked for a reason that no override can lift."""


class OverrideStands(Refused):
    """The lead already has a live override."""


class ConsentOutdated(Refused):
    """The person asked not to be called after the consent."""


class SameDayUnexplained(Refused):
    """The person asked not to be called on the day of the consent, and nobody said why the consent is the later one."""


class BasisNotEnough(Refused):
    """A consent on this basis does not open what blocks the number."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of an override that is placed now: calls to the lead are allowed until `until` (aware UTC).

    The new override replaces the override with the id `replaces`, unless that is None.
    """

    until: datetime
    replaces: int | None = None


def effect_of(facts: Facts, at: datetime, elsewhere: Mapping[str, Sequence[str]] = _NOWHERE) -> Effect:
    """Return the effect of an override for the lead in these facts, if it is placed at `at` (aware UTC).

    `elsewhere` is as in `require_openable`. Raises NotSuppressed, NotOpenable, OverrideStands.
    """
    require_openable(facts, at, elsewhere)
    live = facts.override
    if live is None:
        return Effect(ends_at(at))
    if not renewable(live.expires_at, at):
        raise override_stands(facts.lead, live.id, live.expires_at)
    return Effect(ends_at(at), int(live.id))


def require_openable(facts: Facts, at: datetime, elsewhere: Mapping[str, Sequence[str]] = _NOWHERE) -> None:
    """Raise NotSuppressed if the gate allows calls to the lead, and NotOpenable if no override can lift the block.

    `elsewhere` has the campaign lists that the number is on, each with its campaigns.
    """
    blocks = objections(facts, at)
    if not blocks and elsewhere:
        campaigns = ", ".join(sorted({campaign for some in elsewhere.values() for campaign in some}))
        raise NotSuppressed(
            f"{facts.number} is blocked only in calls of {campaigns}, by {', '.join(sorted(elsewhere))}. "
            f"Lead {facts.lead} can be called in other calls without an override. "
            "To open those calls, take the number off that list."
        )
    if not blocks:
        raise NotSuppressed(
            f"{facts.number} is on no list that blocks it: lead {facts.lead} can be called without an override."
        )
    if not any(one.check.opens_by_override for one in blocks):
        why = sentence_of(blocks[0].ruling.reason)
        raise NotOpenable(
            f"Lead {facts.lead} is blocked: {why} No override can open this block, so none can be placed."
        )


def renewable(expires_at: datetime, at: datetime) -> bool:
    """Return whether a live override is so near its end at `at` that a new one can replace it."""
    return expires_at <= at + RENEWABLE


def override_stands(lead: LeadId | None, override_id: int | str, expires_at: datetime) -> OverrideStands:
    """Return the refusal of a second override for a lead that holds one until `expires_at` (aware UTC)."""
    return OverrideStands(
        f"Lead {lead} holds override {override_id} until {dates.utc(expires_at)}. Renew it in its last "
        f"{RENEWABLE.days} days, or revoke it before placing another."
    )


def require_newer(consented_on: date, number: E164, asked_on: date | None, same_day_reason: str) -> None:
    """Raise ConsentOutdated or SameDayUnexplained unless a consent is newer than the request of the number's owner.

    `asked_on` is the day of the newest request not to be called; None without one. No policy turns this comparison off.
    """
    if asked_on is not None and consented_on < asked_on:
        raise ConsentOutdated(
            f"The owner of {number} asked on {dates.day(asked_on)} not to be called. "
            f"The consent of {dates.day(consented_on)} is older, so it opens nothing. Only a consent that is "
            "dated after the request does. If the request was recorded wrongly, an admin can withdraw it on the page "
            "of the number."
        )
    if asked_on is not None and asked_on == consented_on and not same_day_reason.strip():
        raise SameDayUnexplained(
            f"The owner of {number} asked on {dates.day(asked_on)}, the day of this consent, not to be called. "
            "Say how you know that the consent is the later one. The reviewer reads this reason."
        )


def require_basis(basis: Basis, facts: Facts, asked_on: date | None, policy: ConsentPolicy) -> None:
    """Raise BasisNotEnough if a consent on this basis does not open everything that blocks the number in these facts.

    `asked_on` is as in `require_newer`.
    """
    closed = policy.closed_to(basis, origins_of(facts, asked_on))
    if closed:
        raise BasisNotEnough(
            f"A consent on this basis does not open {' or '.join(_ORIGINS[one] for one in closed)}. "
            f"The policy of this installation ({policy.name}): {policy.summary}"
        )


def origins_of(facts: Facts, asked_on: date | None) -> set[Origin]:
    """Return what blocks the number in these facts. A list that could not be checked counts as a registry."""
    found = {Origin.REQUEST} if asked_on is not None else set()
    covered = facts.applying is not None and facts.applying.pattern != ""
    if covered or (INTERNAL in facts.listed and asked_on is None):
        found.add(Origin.OWN_LIST)
    others = any(name != INTERNAL for name in facts.listed)
    return found | ({Origin.REGISTRY} if others or not (facts.listed or covered) else set())
