"""Adding registries, and setting the terms on which they apply."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from admin_web.record.changes import Actor, Change, Records, Standing
from admin_web.record.dialect import hold
from admin_web.record.models import CampaignListRow, Registry, SuppressionEntry
from admin_web.services.registry_names import LIST_NAMES, checked_name, country_of
from compliance.consent import may_revoke
from compliance.known_registries import preset_of
from compliance.refusal import Refused, Unwritable, cleaned, require
from compliance.terms import BLOCK, PASS, WARN, campaign_id

LONGEST_ACCOUNT = 64
MOST_DAYS = 366
MOST_CAMPAIGNS = 100

_AREA_CODE = re.compile(r"[1-9][0-9]{0,5}")
_NANP_AREA_CODE = re.compile(r"[2-9][0-9]{2}")
_NANP = ("US", "CA")


class RegistryExists(Refused):
    """A registry or a list already has this name."""


class UnknownRegistry(Refused):
    """No registry has this name."""


class VersionMoved(Refused):
    """The version in force is not the one that the person saw when they requested an import."""

    def __init__(self, registry: str) -> None:
        super().__init__(
            f"Another version of {registry} has come into force meanwhile. Nothing was imported; "
            "check that version, then import again."
        )


class TermsMoved(Refused):
    """The terms have been set again since the person saw them."""


class UnfitTerm(Refused):
    """A term has an invalid value. `field` is its name in `EditedTerms`."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class EditedTerms:
    """The terms of a registry as a person sets them; see `admin_web.record.models.Registry`."""

    owner_account: str = ""
    area_codes: tuple[str, ...] = ()
    by_area_code: bool = True
    fresh_days: int = 31
    when_stale: str = BLOCK
    when_uncovered: str = PASS
    spared: tuple[str, ...] = ()


def terms_preset(name: str) -> EditedTerms:
    """Return the default terms of a new registry with this name."""
    known = preset_of(name)
    return EditedTerms(by_area_code=known.by_area_code, fresh_days=known.fresh_days)


async def registry_for(change: Change, name: str, country: str | None, account: str | None) -> Registry:
    """Return the registry of an import. A new registry is added as by `add_registry`. Raises Refused.

    `account` is the account under which the copy was obtained. If given, it becomes the registry's account.
    """
    registry = await _locked(change, checked_name(name))
    if registry is None:
        terms = replace(terms_preset(name), owner_account=account or "")
        registry = await _new(change, name, country_of(name, country), terms)
    elif country is not None and country != registry.country:
        raise Refused(f"{name} lists numbers of {registry.country}, not of {country}. Choose that country.")
    elif account is not None and account != (registry.owner_account or ""):
        _change(change, registry, replace(terms_of(registry), owner_account=account))
    await change.session.flush()
    return registry


async def _locked(change: Change, name: str) -> Registry | None:
    found: Registry | None = await change.session.scalar(
        select(Registry).where(Registry.name == name).with_for_update()
    )
    return found


async def _new(change: Change, name: str, country: str, terms: EditedTerms) -> Registry:
    """Add a registry within a change. Raises Refused."""
    await hold(change.session, LIST_NAMES)
    own = select(SuppressionEntry.id).where(SuppressionEntry.list_name == name).limit(1)
    campaign_list = await change.session.get(CampaignListRow, name)
    if campaign_list is not None or await change.session.scalar(own) is not None:
        raise RegistryExists(f"{name} is one of the company's own lists. Choose another name.")
    terms = _checked(terms, country)
    registry = Registry(name=name, country=country, created_at=change.at, created_by=change.actor.name)
    _set(registry, terms)
    change.session.add(registry)
    change.audit("add-registry", "registry", name, country=country, **_particulars(terms))
    change.project_terms(name)
    return registry


async def add_registry(records: Records, actor: Actor, name: str, country: str, terms: EditedTerms) -> Standing:
    """Add a registry and bring its terms into force. Raises Refused or a subclass."""
    require(may_revoke, actor.role, "add registries")
    country = country_of(checked_name(name), country)
    async with records.change(actor) as change:
        if await change.session.get(Registry, name) is not None:
            raise RegistryExists(f"There is already a registry {name}.")
        await _new(change, name, country, terms)
    return await records.standing(change)


async def set_terms(
    records: Records, actor: Actor, name: str, terms: EditedTerms, *, seen: datetime | None = None
) -> Standing:
    """Set the terms of a registry and bring them into force. Raises UnknownRegistry, TermsMoved, Refused.

    `seen` is the `terms_set_at` that the person saw. It must still be the present one.
    """
    require(may_revoke, actor.role, "set the terms of registries")
    async with records.change(actor) as change:
        registry = await _locked(change, name)
        if registry is None:
            raise UnknownRegistry(f"There is no registry {name}.")
        if seen not in {None, terms_set_at(registry)}:
            raise TermsMoved(
                f"{registry.changed_by} changed the terms in the meantime, so yours were not saved. "
                "Check them, then try again."
            )
        _change(change, registry, terms)
    return await records.standing(change)


def _change(change: Change, registry: Registry, terms: EditedTerms) -> None:
    terms = _checked(terms, registry.country)
    _set(registry, terms)
    registry.changed_at, registry.changed_by = change.at, change.actor.name
    change.audit("set-terms", "registry", registry.name, **_particulars(terms))
    change.project_terms(registry.name)


def terms_set_at(registry: Registry) -> datetime:
    """Return when the terms of a registry were last set."""
    return registry.changed_at or registry.created_at


def terms_of(registry: Registry) -> EditedTerms:
    """Return the present terms of a registry."""
    return EditedTerms(
        registry.owner_account or "",
        tuple(registry.area_codes),
        registry.by_area_code,
        registry.fresh_days,
        registry.when_stale,
        registry.when_uncovered,
        tuple(registry.spared),
    )


def _set(registry: Registry, terms: EditedTerms) -> None:
    registry.owner_account = terms.owner_account or None
    registry.area_codes, registry.spared = list(terms.area_codes), list(terms.spared)
    registry.by_area_code, registry.fresh_days = terms.by_area_code, terms.fresh_days
    registry.when_stale, registry.when_uncovered = terms.when_stale, terms.when_uncovered


def _checked(terms: EditedTerms, country: str) -> EditedTerms:
    """Return the terms in their stored form: sorted, without duplicates. Raises UnfitTerm for an invalid value."""
    if terms.when_stale not in {WARN, BLOCK}:
        raise UnfitTerm("when_stale", "A stale registry either warns or blocks: write warn or block.")
    if terms.when_uncovered not in {PASS, BLOCK}:
        raise UnfitTerm("when_uncovered", "Numbers that a registry does not cover pass or block: write pass or block.")
    if not 0 <= terms.fresh_days <= MOST_DAYS:
        raise UnfitTerm("fresh_days", f"A copy is fresh for 1 to {MOST_DAYS} days; 0 means for ever.")
    return replace(
        terms,
        owner_account=_account(terms.owner_account),
        area_codes=_area_codes(terms.area_codes, country),
        spared=_campaigns(terms.spared),
    )


def _account(account: str) -> str:
    try:
        return cleaned(account, LONGEST_ACCOUNT, "The account")
    except Unwritable as error:
        raise UnfitTerm("owner_account", str(error)) from None


def _area_codes(codes: Iterable[str], country: str) -> tuple[str, ...]:
    pattern = _NANP_AREA_CODE if country in _NANP else _AREA_CODE
    if odd := next((code for code in codes if not pattern.fullmatch(code)), None):
        raise UnfitTerm(
            "area_codes",
            f"{odd!r} is not an area code: write area codes in digits, without a trunk prefix, separated by spaces.",
        )
    return tuple(sorted(set(codes)))


def _campaigns(names: Iterable[str]) -> tuple[str, ...]:
    if odd := next((name for name in names if campaign_id(name) is None), None):
        raise UnfitTerm(
            "spared", f"{odd!r} is not a campaign: write 1 to 64 letters, digits, dots, dashes and underscores."
        )
    kept = tuple(sorted(set(names)))
    if len(kept) > MOST_CAMPAIGNS:
        raise UnfitTerm("spared", f"At most {MOST_CAMPAIGNS} campaigns can be exempt from a registry.")
    return kept


def _particulars(terms: EditedTerms) -> dict[str, str | int]:
    return {
        "account": terms.owner_account,
        "area_codes": " ".join(terms.area_codes),
        "by_area_code": int(terms.by_area_code),
        "fresh_days": terms.fresh_days,
        "when_stale": terms.when_stale,
        "when_uncovered": terms.when_uncovered,
        "spared": " ".join(terms.spared),
    }
