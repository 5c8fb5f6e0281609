"""Consent overrides, granted with a document."""

from dataclasses import dataclass, replace
from datetime import datetime

from admin_web.documents import Kept
from admin_web.record.changes import PENDING, Actor, Change, Records, Standing
from admin_web.record.models import Document, Override
from admin_web.services.consents import Consent, checked
from admin_web.services.requests import last_request_id
from admin_web.services.revocation import end
from admin_web.webhooks.events import Event
from compliance import dates
from compliance.consent import may_override
from compliance.consent_rules import ConsentRules
from compliance.consent_statement import LONGEST_NOTE
from compliance.numbers import E164, LeadId
from compliance.openable import RENEWABLE, override_stands, renewable
from compliance.refusal import Refused, cleaned, require

LONGEST_DETAIL = 200


class NothingToRenew(Refused):
    """The override to renew is no longer the lead's live override."""


class NotYetRenewable(Refused):
    """The override still lasts too long to be renewed now."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A new override, which allows calls to a lead on a number until `expires_at` (aware UTC).

    An override that is `held` allows them only once it has been reviewed.
    """

    override_id: int
    lead: LeadId
    number: E164
    expires_at: datetime
    held: bool
    standing: Standing


async def grant_override(records: Records, actor: Actor, consent: Consent) -> Granted:
    """Record an override with its document and attestation, and bring it into force.

    Raises one of the subclasses of Refused in this module, NotPermitted, UnknownLead or Unwritable.
    """
    require(may_override, actor.role, "place an override")
    async with records.change(actor) as change:
        document = await _document(change, consent.document)
        number, live = await checked(change, consent, records.rules)
        if live is not None:
            raise override_stands(consent.lead, live.id, live.expires_at)
        granted = await _open(change, number, consent, document, records.rules)
    return replace(granted, standing=await records.standing(change))


async def renew_override(records: Records, actor: Actor, consent: Consent, override_id: int) -> Granted:
    """Record an override that replaces the lead's live one. The old override ends when the new one begins.

    Raises NothingToRenew, NotYetRenewable, and everything that `grant_override` raises except OverrideStands.
    """
    require(may_override, actor.role, "place an override")
    async with records.change(actor) as change:
        document = await _document(change, consent.document)
        number, old = await checked(change, consent, records.rules)
        if old is None or old.id != override_id:
            raise NothingToRenew(
                f"Override {override_id} is not the live override of lead {consent.lead} on {number} any more."
            )
        if not renewable(old.expires_at, change.at):
            raise NotYetRenewable(
                f"Override {override_id} lasts until {dates.utc(old.expires_at)}; "
                f"it can be renewed in its last {RENEWABLE.days} days."
            )
        granted = await _open(change, number, consent, document, records.rules)
        end(change, old, f"Renewed: override {granted.override_id} took its place.")
    return replace(granted, standing=await records.standing(change))


async def _open(change: Change, number: E164, consent: Consent, document: int, rules: ConsentRules) -> Granted:
    """Write the override and the event within a change, and queue it for the projection."""
    latest = rules.end_of(change.at, consent.basis, consent.tie, consent.consented_on)
    expires_at, record = consent.expires_at or latest, consent.record
    override = Override(
        lead_id=consent.lead,
        number=number,
        basis=consent.basis,
        basis_note=cleaned(consent.basis_note, LONGEST_NOTE, "What the consent rests on"),
        consented_on=consent.consented_on,
        counts_from=min(consent.consented_on, rules.today(change.at)),
        seen_request=await last_request_id(change.session, number),
        same_day_reason=cleaned(consent.same_day_reason, LONGEST_NOTE, "The reason"),
        tie=consent.tie or "",
        seller=cleaned(record.seller, LONGEST_DETAIL, "The seller"),
        purpose=cleaned(record.purpose, LONGEST_DETAIL, "The purpose"),
        request_shown=cleaned(record.request_shown, LONGEST_NOTE, "The request as it was shown"),
        signature=cleaned(record.signature, LONGEST_DETAIL, "How it was signed"),
        document_id=document,
        attestation=consent.attestation,
        placed_at=change.at,
        placed_by=change.actor.name,
        placed_from=change.actor.address[:64],
        expires_at=expires_at,
        held=rules.reviewed_first,
    )
    change.session.add(override)
    await change.session.flush()
    particulars = {"lead": consent.lead, "document": consent.document.sha256}
    change.audit("grant-override", "override", override.id, **particulars, number=number, basis=consent.basis)
    change.notify(
        Event.OVERRIDE,
        override=override.id,
        lead=consent.lead,
        number=number,
        basis=consent.basis.value,
        expires_at=f"{expires_at:%Y-%m-%dT%H:%M:%SZ}",
    )
    change.project_override(number, consent.lead)
    return Granted(override.id, consent.lead, number, expires_at, override.held, PENDING)


async def _document(change: Change, kept: Kept) -> int:
    """Record a document and return its id.

    Do this before the consent is checked, because a bucket may take seconds to answer, and the check holds a lock for
    which every request not to be called waits. Raises DocumentNotKept if a sweep deleted its file before the row
    existed.
    """
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
