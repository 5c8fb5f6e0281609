"""Revoking and reviewing overrides."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from admin_web.record.changes import IN_FORCE, Actor, Change, Records, Standing
from admin_web.record.models import AuditEvent, Override, User
from admin_web.webhooks.events import Event
from compliance import dates
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


class NotHeld(Refused):
    """No recovery holds the override."""


class NotReviewed(Refused):
    """The override waited for its review when a recovery held it, and nobody has reviewed it since."""


class OwnOverride(Refused):
    """The reviewer placed the override."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A reviewed override. `already` means that it was reviewed before this call; `held`, that a recovery holds it."""

    already: bool
    standing: Standing
    held: bool = False


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

    If a request had ended it, nobody can keep it any more.

    Raises UnknownOverride, OverrideExpired, NotPermitted, Unwritable.
    """
    require(may_revoke, actor.role, "revoke overrides")
    reason = cleaned(reason, LONGEST_REASON, "The reason", required=True)
    async with records.change(actor) as change:
        override = await locked_override(change, override_id)
        lead, number = LeadId(override.lead_id), E164(override.number)
        already = override.revoked_at is not None
        if already:
            if override.ended_by_request is not None:
                _close(change, override, reason)
            change.project_override(number, lead)
        elif override.has_expired(change.at):
            ended = dates.utc(override.expires_at)
            raise OverrideExpired(f"Override {override_id} expired on {ended}, so there is nothing to revoke.")
        else:
            end(change, override, reason)
    return Revoked(override_id, lead, number, already, await records.standing(change))


async def review_override(records: Records, actor: Actor, override_id: int) -> Reviewed:
    """Record that the actor has reviewed an override. An override that was held for its review opens its lead now.

    One that a recovery holds stays held: see `confirm_override`.

    If it was reviewed before, nothing is recorded. Raises UnknownOverride, OwnOverride, NotPermitted.
    """
    require(may_revoke, actor.role, "review overrides")
    async with records.change(actor) as change:
        override = await locked_override(change, override_id)
        if override.reviewed_at is not None:
            return Reviewed(already=True, standing=IN_FORCE)
        if override.placed_by == actor.name:
            raise OwnOverride(await _who_else(change, actor))
        override.reviewed_at, override.reviewed_by = change.at, actor.name
        change.audit("review-override", "override", override.id)
        if override.held and override.recovery_id is None:
            override.held = False
            change.project_override(E164(override.number), LeadId(override.lead_id))
        held = override.held
    return Reviewed(already=False, standing=await records.standing(change), held=held)


async def confirm_override(records: Records, actor: Actor, override_id: int, *, reason: str) -> Standing:
    """Let an override open its lead that a recovery has held: it was not revoked after the backup.

    Raises UnknownOverride, NotHeld, NotReviewed, NotPermitted, Unwritable.
    """
    require(may_revoke, actor.role, "confirm overrides")
    reason = cleaned(reason, LONGEST_REASON, "The reason", required=True)
    async with records.change(actor) as change:
        override = await locked_override(change, override_id)
        ended = override.revoked_at is not None or override.has_expired(change.at)
        if ended or not override.held or override.recovery_id is None:
            raise NotHeld(f"Override {override_id} is not held by a recovery. Nothing was changed.")
        if override.reviewed_at is None and await _waited_for_review(change, override):
            raise NotReviewed(
                f"Override {override_id} waited for its review when the recovery held it. "
                "Let it be reviewed first, then confirm it. Nothing was changed."
            )
        override.held = False
        change.audit("confirm-override", "override", override.id, lead=override.lead_id, reason=reason)
        change.project_override(E164(override.number), LeadId(override.lead_id))
    return await records.standing(change)


async def _waited_for_review(change: Change, override: Override) -> bool:
    """Return whether a recovery found the override held for its review: see `recovered_overrides.hold_waiting`."""
    event = AuditEvent
    holds = select(event.particulars).where(
        event.subject_kind == "override", event.subject_id == str(override.id), event.action == "hold-override"
    )
    return any(particulars.get("unreviewed") for particulars in await change.session.scalars(holds))


async def _who_else(change: Change, actor: Actor) -> str:
    """Return why the person who placed an override cannot review it, and who can."""
    others = select(User.name).where(User.role == Role.ADMIN, User.disabled_at.is_(None), User.name != actor.name)
    names = (await change.session.scalars(others.order_by(User.name).limit(MOST_NAMES))).all()
    who = f"Ask {' or '.join(names)}." if names else "There is no other admin: add a second one under Users."
    return f"You placed this override, so another admin must review it. {who}"


async def end_overrides_elsewhere(
    change: Change, lead: LeadId, numbers: Sequence[E164], reason: str
) -> tuple[int, ...]:
    """End the live overrides of a lead that are not on one of these numbers. Returns their ids.

    The lead may get such a number back later, when its telephone has been another person's. So nobody can keep the
    overrides that a request has ended. The actor may have any role.
    """
    live = select(Override).where(Override.lead_id == lead, Override.number.not_in(numbers), *Override.live(change.at))
    ended = (await change.session.scalars(live.with_for_update())).all()
    for override in ended:
        end(change, override, reason)
    by_request = select(Override).where(
        Override.lead_id == lead, Override.number.not_in(numbers), Override.ended_by_request.is_not(None)
    )
    for override in await change.session.scalars(by_request.with_for_update()):
        _close(change, override, reason)
    return tuple(override.id for override in ended)


def _close(change: Change, override: Override, reason: str) -> None:
    """Let nobody keep an override that a request has ended. Its row must be locked."""
    override.ended_by_request, override.revoke_reason = None, f"{override.revoke_reason} {reason}"
    change.audit(
        "revoke-override", "override", override.id, lead=override.lead_id, number=override.number, reason=reason
    )


def end(change: Change, override: Override, reason: str) -> None:
    """End an override, whose row must be locked, within a change, and record who did it and why."""
    lead, number = LeadId(override.lead_id), E164(override.number)
    override.revoked_at, override.revoked_by, override.revoke_reason = change.at, change.actor.name, reason
    change.audit("revoke-override", "override", override.id, lead=lead, number=number, reason=reason)
    change.notify(Event.REVOKE, override=override.id, lead=lead, number=number, reason=reason)
    change.project_override(number, lead)


async def locked_override(change: Change, override_id: int) -> Override:
    """Return an override, with its row locked until the transaction ends. Raises UnknownOverride."""
    override = await change.session.scalar(select(Override).where(Override.id == override_id).with_for_update())
    if override is None:
        raise UnknownOverride(f"There is no override {override_id}.")
    return override
