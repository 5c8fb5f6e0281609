"""Revoking and reviewing overrides."""

from dataclasses import dataclass

from sqlalchemy import select

from admin_web.record.changes import Actor, Change, Records, Standing
from admin_web.record.models import Override
from admin_web.webhooks.events import Event
from compliance.consent import may_revoke
from compliance.numbers import E164, LeadId
from compliance.refusal import Refused, cleaned, require

LONGEST_REASON = 2000


class UnknownOverride(Refused):
    """No override has this id."""


class OverrideExpired(Refused):
    """The override has already expired."""


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


async def review_override(records: Records, actor: Actor, override_id: int) -> bool:
    """Record that the actor has reviewed an override. Returns False, and records nothing, if it was reviewed before.

    Raises UnknownOverride, NotPermitted.
    """
    require(may_revoke, actor.role, "review overrides")
    async with records.change(actor) as change:
        override = await _locked_override(change, override_id)
        if override.reviewed_at is not None:
            return False
        override.reviewed_at, override.reviewed_by = change.at, actor.name
        change.audit("review-override", "override", override.id)
    return True


async def end_overrides(change: Change, lead: LeadId, reason: str) -> tuple[int, ...]:
    """End the live overrides of a lead within a change, whatever the actor's role. Returns their ids."""
    live = select(Override).where(
        Override.lead_id == lead, Override.revoked_at.is_(None), Override.expires_at > change.at
    )
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
