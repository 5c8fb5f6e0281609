"""Keeping an override although somebody on its number has asked not to be called since: it was another person."""

from dataclasses import dataclass

from sqlalchemy import func, select, update

from admin_web.record.changes import Actor, Change, Records, Standing
from admin_web.record.dialect import hold
from admin_web.record.lead_numbers import has_telephone
from admin_web.record.models import DoNotCallRequest, Lead, Override, Recovery
from admin_web.services.leads import existing_lead
from admin_web.services.recovered_overrides import hold_for_recovery
from admin_web.services.requests import REQUESTS, last_recorded, last_request_id
from admin_web.services.revocation import LONGEST_REASON, UnknownOverride, locked_override
from compliance import dates
from compliance.consent import may_revoke
from compliance.numbers import E164, LeadId
from compliance.refusal import Refused, cleaned, require


class NothingToKeep(Refused):
    """No request contests the override, or it cannot open its lead any more."""


class RequestNotSeen(Refused):
    """A request has been recorded that the admin had not seen when deciding. `request_id` is its id."""

    def __init__(self, request: DoNotCallRequest) -> None:
        super().__init__(
            f"Request {request.id}, of {dates.day(request.asked_on)} by {request.source}, is the last one on "
            f"{request.number}. You have not seen it. Check who asked, and decide again. Nothing was changed."
        )
        self.request_id = request.id


@dataclass(frozen=True, slots=True)
class KeptOverride:
    """An override that an admin keeps. `reopened` means that a request had ended it, and it opens its lead again.

    One that waits for its review, or that a recovery holds, opens nothing before that.
    """

    override_id: int
    lead: LeadId
    number: E164
    reopened: bool
    standing: Standing


async def keep_override(
    records: Records, actor: Actor, override_id: int, *, reason: str, seen: int | None
) -> KeptOverride:
    """Keep an override. `seen` is the id of the request recorded last on its number that the actor knows of.

    The decision answers this request and all before it. An override that a request has ended opens its lead again. If a
    recovery has begun since its end, that recovery holds it: it may have been revoked after the backup.

    Raises UnknownOverride, NothingToKeep, RequestNotSeen, NotPermitted, Unwritable.
    """
    require(may_revoke, actor.role, "keep overrides")
    reason = cleaned(reason, LONGEST_REASON, "The reason", required=True)
    async with records.change(actor) as change:
        row = await _locked_lead(change, override_id)
        # Alone, as a grant: a request that arrives now gets a higher id, so this decision does not answer it.
        await hold(change.session, REQUESTS)
        override = await locked_override(change, override_id)
        lead, number = LeadId(override.lead_id), E164(override.number)
        await _require_contested(change, override, row)
        await _require_seen(change, override, seen)
        await _hold_if_recovered(change, override)
        reopened = override.ended_by_request is not None and not override.held
        if override.revoked_at is not None:
            override.revoked_at = override.revoked_by = override.revoke_reason = override.ended_by_request = None
            change.project_override(number, lead)
        override.kept_at, override.kept_by, override.keep_reason = change.at, actor.name, reason
        override.seen_request = await last_request_id(change.session, number)
        change.audit(
            "keep-override", "override", override.id, lead=lead, number=number, reason=reason,
            request=override.seen_request,
        )  # fmt: skip
    return KeptOverride(override_id, lead, number, reopened, await records.standing(change))


async def _locked_lead(change: Change, override_id: int) -> Lead:
    """Lock the lead of an override first. Requests and grants take their locks in this order too."""
    lead = await change.session.scalar(select(Override.lead_id).where(Override.id == override_id))
    if lead is None:
        raise UnknownOverride(f"There is no override {override_id}.")
    return await existing_lead(change.session, LeadId(lead))


async def _require_seen(change: Change, override: Override, seen: int | None) -> None:
    """Raise RequestNotSeen if a request on the number was recorded after the one that the actor has seen."""
    last = await last_recorded(change.session, E164(override.number))
    if last is not None and last.id > (seen or 0):
        raise RequestNotSeen(last)


async def _hold_if_recovered(change: Change, override: Override) -> None:
    """Hold an ended override in the name of the recovery that has begun since its end.

    Redis never holds an ended override, so the recovery itself could not see whether it was revoked after the backup.
    """
    if override.revoked_at is None:
        return
    since = select(func.max(Recovery.id)).where(Recovery.began_at >= override.revoked_at, Recovery.discarded.is_(False))
    counting = update(Recovery).where(Recovery.id == since.scalar_subquery()).values(held=Recovery.held + 1)
    recovery = await change.session.scalar(counting.returning(Recovery.id))
    if recovery is not None:
        hold_for_recovery(change, override, recovery)


async def _require_contested(change: Change, override: Override, lead: Lead) -> None:
    """Raise NothingToKeep unless a request contests this override or has ended it, and it could still open its lead."""
    if override.has_expired(change.at):
        raise NothingToKeep(f"Override {override.id} has expired, so there is nothing to keep.")
    if override.revoked_at is None:
        contested = select(Override.id).where(Override.id == override.id, Override.contested())
        if await change.session.scalar(contested) is None:
            since = f"the consent of override {override.id}"
            if override.kept_at is not None:
                since = f"{override.kept_by} decided to keep override {override.id}"
            raise NothingToKeep(f"Nobody has asked not to be called since {since}.")
        return
    if override.ended_by_request is None:
        raise NothingToKeep(
            f"Override {override.id} was revoked by {override.revoked_by}. To open the lead, place another."
        )
    live = select(Override.id).where(
        Override.lead_id == lead.id, Override.number == override.number, *Override.live(change.at)
    )
    lost = not await has_telephone(change.session, LeadId(lead.id), override.number)
    if lost or await change.session.scalar(live.limit(1)) is not None:
        raise NothingToKeep(f"Lead {override.lead_id} has another number or another override by now.")
