"""Consent overrides, granted with a document."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin_web.documents import Kept
from admin_web.judging.facts import ruling_without_override
from admin_web.record.changes import PENDING, Actor, Change, Records, Standing
from admin_web.record.models import Document, Lead, Override
from admin_web.services.leads import existing_lead, put_new
from admin_web.services.revocation import end
from admin_web.webhooks.events import Event
from compliance.consent import ATTESTATION, Basis, ends_at, may_override
from compliance.numbers import E164, LeadId
from compliance.refusal import Refused, cleaned, require
from compliance.verdict import Verdict

LONGEST_NOTE = 2000

RENEWABLE = timedelta(days=30)
"""How long before its end an override can be renewed."""

EASTERNMOST = timedelta(hours=14)
"""Kiribati is fourteen hours ahead of UTC: no date is today anywhere before it is today there."""


class NotAttested(Refused):
    """The statement was not ticked, or is not the statement in force."""


class ConsentInFuture(Refused):
    """The consent is dated later than today."""


class ExpiryNotAllowed(Refused):
    """The end that was asked for is past, or later than twelve months from now."""


class NotSuppressed(Refused):
    """The number is not blocked, so there is nothing to open."""


class OverrideStands(Refused):
    """The lead holds a live override already."""


class NothingToRenew(Refused):
    """The override that was to be renewed is not the lead's live one any more."""


class NotYetRenewable(Refused):
    """The override lasts too long still."""


class OtherNumber(Refused):
    """The lead is on record with another number."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person who places an override puts forward.

    `attestation` is the text that was ticked. `number` is needed for a lead that is not on record yet, and must be
    the lead's own otherwise. `expires_at` (aware UTC) may be earlier than the twelve months, never later.
    """

    lead: LeadId
    basis: Basis
    consented_on: date
    document: Kept
    attestation: str
    basis_note: str = ""
    number: E164 | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """A lead that is open on a number until `expires_at`."""

    override_id: int
    lead: LeadId
    number: E164
    expires_at: datetime
    standing: Standing


async def grant_override(records: Records, actor: Actor, consent: Consent) -> Granted:
    """Open a lead on its number, document and attestation on record, and bring it into force.

    Raises one of the Refused above, NotPermitted, UnknownLead or Unwritable.
    """
    note = _checked(actor, consent)
    async with records.change(actor) as change:
        expires_at = _expiry(consent, change.at)
        lead = await _lead(change, consent)
        await _require_blocked(change, lead)
        if (standing := await _live_override(change, lead)) is not None:
            raise OverrideStands(
                f"Lead {lead.id} holds override {standing.id} until {standing.expires_at:%Y-%m-%d}; "
                "revoke it before placing another."
            )
        granted = await _open(change, lead, consent, note, expires_at)
    return replace(granted, standing=await records.standing())


async def renew_override(records: Records, actor: Actor, consent: Consent, override_id: int) -> Granted:
    """Open a lead anew on a new document, in place of its live override, which ends at the same moment.

    Raises what `grant_override` raises, but OverrideStands; NothingToRenew, NotYetRenewable.
    """
    note = _checked(actor, consent)
    async with records.change(actor) as change:
        expires_at = _expiry(consent, change.at)
        lead = await _lead(change, consent)
        await _require_blocked(change, lead)
        old = await _live_override(change, lead)
        if old is None or old.id != override_id:
            raise NothingToRenew(f"Override {override_id} is not the live override of lead {lead.id} any more.")
        if old.expires_at > change.at + RENEWABLE:
            raise NotYetRenewable(
                f"Override {override_id} lasts until {old.expires_at:%Y-%m-%d}; "
                f"it can be renewed in its last {RENEWABLE.days} days."
            )
        granted = await _open(change, lead, consent, note, expires_at)
        end(change, old, f"Renewed: override {granted.override_id} took its place.")
    return replace(granted, standing=await records.standing())


async def live_overrides(session: AsyncSession, at: datetime) -> list[Override]:
    """Give the overrides that are live at `at` (aware UTC), in the order in which they were placed."""
    return list(await session.scalars(select(Override).where(*_live_at(at)).order_by(Override.id)))


def _checked(actor: Actor, consent: Consent) -> str:
    """Give the note on the basis. Raises NotPermitted, NotAttested, Unwritable."""
    require(may_override, actor.role, "place an override")
    if consent.attestation != ATTESTATION:
        raise NotAttested("The statement was not confirmed in its present wording; nothing was changed.")
    needed = consent.basis is Basis.OTHER
    return cleaned(consent.basis_note, LONGEST_NOTE, "What the consent rests on", required=needed)


def _expiry(consent: Consent, at: datetime) -> datetime:
    """Give the moment at which the override ends. Raises ConsentInFuture, ExpiryNotAllowed."""
    if consent.consented_on > (at + EASTERNMOST).date():
        raise ConsentInFuture(f"The consent is dated {consent.consented_on}, which is not yet; nothing was changed.")
    latest = ends_at(at)
    expires_at = consent.expires_at or latest
    if not at < expires_at <= latest:
        raise ExpiryNotAllowed(f"An override ends after now and not later than {latest:%Y-%m-%d %H:%M} UTC.")
    return expires_at


async def _lead(change: Change, consent: Consent) -> Lead:
    """Find the lead, or add it when its number is given; hold it. Raises UnknownLead, OtherNumber."""
    if consent.number is not None:
        await put_new(change, consent.lead, consent.number)
    lead = await existing_lead(change.session, consent.lead)
    if consent.number not in {None, lead.number}:
        raise OtherNumber(
            f"Lead {lead.id} is on record with {lead.number}, not {consent.number}; "
            "if the number changed, change the lead first."
        )
    return lead


async def _require_blocked(change: Change, lead: Lead) -> None:
    """Raise NotSuppressed unless the gate would block the number: for a list, or because a registry cannot tell."""
    ruling = await ruling_without_override(change.session, E164(lead.number), change.at)
    if ruling.verdict is Verdict.ALLOW:
        raise NotSuppressed(
            f"{lead.number} stands on no list that blocks it: lead {lead.id} can be called without an override."
        )


async def _live_override(change: Change, lead: Lead) -> Override | None:
    """Find the live override of a held lead: of two people who place one on it at once, the second sees the first."""
    live = select(Override).where(Override.lead_id == lead.id, *_live_at(change.at))
    return await change.session.scalar(live.order_by(Override.expires_at.desc()).limit(1).with_for_update())


async def _open(change: Change, lead: Lead, consent: Consent, note: str, expires_at: datetime) -> Granted:
    """Write the override and its document within a change, and have the projection look at it."""
    override = Override(
        lead_id=lead.id,
        number=lead.number,
        basis=consent.basis,
        basis_note=note,
        consented_on=consent.consented_on,
        document_id=await _document(change, consent.document),
        attestation=consent.attestation,
        placed_at=change.at,
        placed_by=change.actor.name,
        placed_from=change.actor.address[:64],
        expires_at=expires_at,
    )
    change.session.add(override)
    await change.session.flush()
    number, particulars = E164(lead.number), {"lead": lead.id, "document": consent.document.sha256}
    change.audit("grant-override", "override", override.id, **particulars, number=number, basis=consent.basis)
    change.tell(
        Event.OVERRIDE,
        override=override.id,
        lead=lead.id,
        number=number,
        basis=consent.basis.value,
        expires_at=f"{expires_at:%Y-%m-%dT%H:%M:%SZ}",
    )
    change.project_override(number, consent.lead)
    return Granted(override.id, consent.lead, number, expires_at, PENDING)


def _live_at(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return Override.revoked_at.is_(None), Override.expires_at > at


async def _document(change: Change, kept: Kept) -> int:
    """Put a document on record. Raises DocumentNotKept when a sweep took its file away before the row was written."""
    row = Document(
        sha256=kept.sha256,
        name=kept.name,
        media_type=kept.media_type,
        size=kept.size,
        stored_at=change.at,
        stored_by=change.actor.name,
    )
    change.session.add(row)
    await change.session.flush()
    await kept.require_there()
    return row.id
