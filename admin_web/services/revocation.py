"""Revoking and reviewing overrides."""

from dataclasses import dataclass

from sqlalchemy import select

from admin_web.record.changes import IN_FORCE, Actor, Change, Records, Standing
from admin_web.record.models import Lead, Override, User
from admin_web.webhooks.events import Event
from compliance.consent import Role, may_revoke
from compliance.numbers import E164, LeadId
from compliance.refusal import Refused, cleaned, require

LONGEST_REASON = 2000

MOST_NAMES = 3
"""Maximum number of other admins that a refusal names."""


class UnknownOverride(Refused):
    """No override has this id."""


class OverrideExpired(Refused):
    """The override has already expired."""


class OwnOverride(Refused):
    """The reviewer placed the override."""


class NothingToKeep(Refused):
    """No request contests the override, or it cannot open its lead any more."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A reviewed override. `already` means that it was reviewed before this call."""

    already: bool
    standing: Standing


@dataclass(frozen=True, slots=True)
class KeptOverride:
    """An override that an admin keeps. `reopened` means that a request had ended it, and it opens its lead again."""

    override_id: int
    lead: LeadId
    number: E164
    reopened: bool
    standing: Standing


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revoked override. `already` means that it was revoked before this call."""

    override_id: int
    lead: LeadId
    number: E164
    already: bool
    standing: Standing


async def revoke_override(records: Records, actor: Actor, override_id: int, *, reason: str) -> Revoked:
    """Revoke an override at once. If it was revoked before, only its state is written to Redis again.

    Raises UnknownOverride, OverrideExpired, NotPermitted, Unwritable.
    """
    require(may_revoke, actor.role, "revoke overrides")
    reason = cleaned(reason, LONGEST_REASON, "The reason", required=True)
    async with records.change(actor) as change:
        override = await _locked_override(change, override_id)
        lead, number = LeadId(override.lead_id), E164(override.number)
        already = override.revoked_at is not None
        if already:
            change.project_override(number, lead)
        elif override.expires_at <= change.at:
            ended = f"{override.expires_at:%Y-%m-%d %H:%M}"
            raise OverrideExpired(f"Override {override_id} expired on {ended} UTC, so there is nothing to revoke.")
        else:
            end(change, override, reason)
    return Revoked(override_id, lead, number, already, await records.standing())


async def review_override(records: Records, actor: Actor, override_id: int) -> Reviewed:
    """Record that the actor has reviewed an override. An override that was held for its review opens its lead now.

    If it was reviewed before, nothing is recorded. Raises UnknownOverride, OwnOverride, NotPermitted.
    """
    require(may_revoke, actor.role, "review overrides")
    async with records.change(actor) as change:
        override = await _locked_override(change, override_id)
        if override.reviewed_at is not None:
            return Reviewed(already=True, standing=IN_FORCE)
        if override.placed_by == actor.name:
            raise OwnOverride(await _who_else(change, actor))
        override.reviewed_at, override.reviewed_by = change.at, actor.name
        change.audit("review-override", "override", override.id)
        if override.held:
            override.held = False
            change.project_override(E164(override.number), LeadId(override.lead_id))
    return Reviewed(already=False, standing=await records.standing())


async def keep_override(records: Records, actor: Actor, override_id: int, *, reason: str) -> KeptOverride:
    """Keep an override although somebody asked not to be called since: it was another person on the same number.

    An override that the request has ended opens its lead again. Raises UnknownOverride, NothingToKeep, NotPermitted,
    Unwritable.
    """
    require(may_revoke, actor.role, "keep overrides")
    reason = cleaned(reason, LONGEST_REASON, "The reason", required=True)
    async with records.change(actor) as change:
        override = await _locked_override(change, override_id)
        lead, number = LeadId(override.lead_id), E164(override.number)
        await _require_contested(change, override)
        request = override.ended_by_request
        if override.revoked_at is not None:
            override.revoked_at = override.revoked_by = override.revoke_reason = override.ended_by_request = None
            change.project_override(number, lead)
        override.kept_at, override.kept_by, override.keep_reason = change.at, actor.name, reason
        change.audit("keep-override", "override", override.id, lead=lead, number=number, reason=reason)
    return KeptOverride(override_id, lead, number, request is not None, await records.standing())


async def _require_contested(change: Change, override: Override) -> None:
    """Raise NothingToKeep unless a request contests this override or has ended it, and it could still open its lead."""
    if override.expires_at <= change.at:
        raise NothingToKeep(f"Override {override.id} has expired, so there is nothing to keep.")
    if override.revoked_at is None:
        contested = select(Override.id).where(Override.id == override.id, Override.contested())
        if await change.session.scalar(contested) is None:
            raise NothingToKeep(f"Nobody has asked not to be called since the consent of override {override.id}.")
        return
    if override.ended_by_request is None:
        raise NothingToKeep(
            f"Override {override.id} was revoked by {override.revoked_by}. To open the lead, place another."
        )
    lead = await change.session.get(Lead, override.lead_id, with_for_update=True)
    live = select(Override.id).where(Override.lead_id == override.lead_id, *Override.live(change.at))
    if lead is None or lead.number != override.number or await change.session.scalar(live.limit(1)) is not None:
        raise NothingToKeep(f"Lead {override.lead_id} has another number or another override by now.")


async def _who_else(change: Change, actor: Actor) -> str:
    """Return why the person who placed an override cannot review it, and who can."""
    others = select(User.name).where(User.role == Role.ADMIN, User.disabled_at.is_(None), User.name != actor.name)
    names = (await change.session.scalars(others.order_by(User.name).limit(MOST_NAMES))).all()
    who = f"Ask {' or '.join(names)}." if names else "There is no other admin: add a second one under Users."
    return f"You placed this override, so another admin must review it. {who}"


async def end_overrides(change: Change, lead: LeadId, reason: str) -> tuple[int, ...]:
    """End the live overrides of a lead within a change, whatever the actor's role. Returns their ids."""
    live = select(Override).where(Override.lead_id == lead, *Override.live(change.at))
    ended = (await change.session.scalars(live.with_for_update())).all()
    for override in ended:
        end(change, override, reason)
    return tuple(override.id for override in ended)


def end(change: Change, override: Override, reason: str) -> None:
    """End an override, whose row must be locked, within a change, and record who did it and why."""
    lead, number = LeadId(override.lead_id), E164(override.number)
    override.revoked_at, override.revoked_by, override.revoke_reason = change.at, change.actor.name, reason
    change.audit("revoke-override", "override", override.id, lead=lead, number=number, reason=reason)
    change.notify(Event.REVOKE, override=override.id, lead=lead, number=number, reason=reason)
    change.project_override(number, lead)


async def _locked_override(change: Change, override_id: int) -> Override:
    override = await change.session.scalar(select(Override).where(Override.id == override_id).with_for_update())
    if override is None:
        raise UnknownOverride(f"There is no override {override_id}.")
    return override
