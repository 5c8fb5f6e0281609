"""Campaign lists: lists of the company that apply only to calls of some campaigns. Making them, and their numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.record.changes import Actor, Change, Records, Standing
from admin_web.record.dialect import hold
from admin_web.record.models import CampaignListRow, Registry, SuppressionEntry
from admin_web.services.registry_names import LIST_NAMES, checked_name
from admin_web.services.suppression import (
    Lifted,
    Suppressed,
    SuppressedMany,
    lift,
    suppress_many_within,
    suppress_within,
)
from compliance.consent import may_revoke
from compliance.known_registries import PRESETS
from compliance.numbers import E164
from compliance.redis_schema import INTERNAL
from compliance.refusal import Refused, require
from compliance.terms import campaign_id

MOST_LISTS = 100
MOST_CAMPAIGNS = 100


class ListExists(Refused):
    """A list has this name."""


class UnknownList(Refused):
    """No campaign list has this name."""


class UnfitCampaigns(Refused):
    """The campaigns are missing, too many, or no campaigns."""


async def add_campaign_list(records: Records, actor: Actor, name: str, campaigns: Iterable[str]) -> Standing:
    """Make an empty campaign list. Raises ListExists, UnfitCampaigns, NotPermitted, Refused.

    A list that holds numbers already cannot become a campaign list, because that would open calls of other campaigns.
    """
    require(may_revoke, actor.role, "make campaign lists")
    name, kept = _named(name), checked_campaigns(campaigns)
    async with records.change(actor) as change:
        await hold(change.session, LIST_NAMES)
        await _require_free(change.session, name)
        row = CampaignListRow(name=name, campaigns=kept, created_at=change.at, created_by=actor.name)
        change.session.add(row)
        change.audit("add-campaign-list", "list", name, campaigns=" ".join(kept))
        change.project_terms(name)
    return await records.standing(change)


async def set_campaigns(records: Records, actor: Actor, name: str, campaigns: Iterable[str]) -> Standing:
    """Set the campaigns to whose calls a list applies. Raises UnknownList, UnfitCampaigns, NotPermitted."""
    require(may_revoke, actor.role, "change campaign lists")
    kept = checked_campaigns(campaigns)
    async with records.change(actor) as change:
        row = await change.session.scalar(select(CampaignListRow).where(CampaignListRow.name == name).with_for_update())
        if row is None:
            raise _unknown(name)
        change.audit("set-campaigns", "list", name, campaigns=" ".join(kept), was=" ".join(row.campaigns))
        row.campaigns, row.changed_at, row.changed_by = kept, change.at, actor.name
        change.project_terms(name)
    return await records.standing(change)


async def add_to_list(
    records: Records, actor: Actor, name: str, number: E164, *, source: str, note: str = ""
) -> Suppressed:
    """Put a number on a campaign list, and bring the block into force. Raises UnknownList, Unwritable.

    This records no request not to be called, and ends no override.
    """
    async with records.change(actor) as change:
        await require_campaign_list(change.session, name)
        done = await suppress_within(change, number, source=source, note=note, list_name=name)
    return replace(done, standing=await records.standing(change))


async def add_many_to_list(
    records: Records, actor: Actor, name: str, numbers: Sequence[E164], *, source: str, note: str = ""
) -> SuppressedMany:
    """Put up to CHUNK numbers on a campaign list in one transaction. Raises UnknownList, Unwritable."""
    wanted = list(dict.fromkeys(numbers))
    async with records.change(actor) as change:
        await require_campaign_list(change.session, name)
        added = await suppress_many_within(change, wanted, source=source, note=note, list_name=name)
    return SuppressedMany(added, len(wanted) - added, await records.standing(change))


async def lift_from_list(records: Records, actor: Actor, name: str, number: E164, *, reason: str) -> Lifted:
    """Take a number off a campaign list. Raises UnknownList, NotListed, NotPermitted, Unwritable."""
    async with records.database.read() as session:
        await require_campaign_list(session, name)
    return await lift(records, actor, number, reason=reason, list_name=name)


async def require_own_list(change: Change, name: str) -> None:
    """Raise UnknownList unless `name` is the company's own list or a campaign list."""
    if name != INTERNAL:
        await require_campaign_list(change.session, name)


async def require_campaign_list(session: AsyncSession, name: str) -> None:
    """Raise UnknownList unless a campaign list has this name."""
    if await session.get(CampaignListRow, name) is None:
        raise _unknown(name)


def checked_campaigns(campaigns: Iterable[str]) -> list[str]:
    """Return campaigns sorted, without duplicates. Raises UnfitCampaigns."""
    kept = sorted(set(campaigns))
    if not kept:
        raise UnfitCampaigns("Name at least one campaign, as the dialplan names it.")
    odd = [name for name in kept if campaign_id(name) is None]
    if odd:
        raise UnfitCampaigns(
            f"{odd[0]!r} is not a campaign: write 1 to 64 letters, digits, dots, dashes and underscores."
        )
    if len(kept) > MOST_CAMPAIGNS:
        raise UnfitCampaigns(f"A list can apply to at most {MOST_CAMPAIGNS} campaigns.")
    return kept


def _named(name: str) -> str:
    """Return the name of a new list. Raises Refused."""
    name = checked_name(name, "a campaign list", "spring-offers")
    if name in PRESETS:
        raise ListExists(f"{name} is the name of a registry. Choose another name.")
    return name


async def _require_free(session: AsyncSession, name: str) -> None:
    if await session.get(CampaignListRow, name) is not None:
        raise ListExists(f"There is already a campaign list {name}.")
    if await session.get(Registry, name) is not None:
        raise ListExists(f"{name} is the name of a registry. Choose another name.")
    numbers = select(SuppressionEntry.id).where(SuppressionEntry.list_name == name).limit(1)
    if await session.scalar(numbers) is not None:
        raise ListExists(
            f"The list {name} has numbers, which are blocked in every call. "
            "A campaign list must be new: choose another name."
        )
    if (await session.scalar(select(func.count()).select_from(CampaignListRow)) or 0) >= MOST_LISTS:
        raise Refused(f"There are {MOST_LISTS} campaign lists already.")


def _unknown(name: str) -> UnknownList:
    return UnknownList(f"There is no campaign list {name}.")
