"""What the consent form says and is told: what it would open, and its fields, each with what is wrong with it."""

from dataclasses import dataclass
from datetime import date, datetime

from admin_web.documents import Kept
from admin_web.queries.lead import LeadPage
from admin_web.services.overrides import EASTERNMOST, RENEWABLE, Consent, NotSuppressed, OverrideStands
from admin_web.site.forms import Form
from admin_web.site.pages import day, national
from compliance.consent import ATTESTATION, Basis, ends_at
from compliance.numbers import E164

STALE = "stale"
"""Where the form shows an error that belongs to no field."""


@dataclass(frozen=True, slots=True)
class ConsentEffect:
    """What saving the form would do: open the lead until a moment, in place of the override `replaces`, if any."""

    until: datetime
    replaces: int | None = None

    @property
    def carried(self) -> dict[str, str]:
        """What the form carries along, so that it opens what the person read, or nothing."""
        return {"until": self.until.isoformat(), "replaces": str(self.replaces or "")}


@dataclass(frozen=True, slots=True)
class ConsentFields:
    """The fields of the form, read; the document comes after them."""

    lead: LeadPage
    basis: Basis
    basis_note: str
    consented_on: date
    number: E164
    until: datetime

    def consent(self, document: Kept) -> Consent:
        """Give what the person puts forward, with its document."""
        return Consent(
            lead=self.lead.id,
            basis=self.basis,
            consented_on=self.consented_on,
            document=document,
            attestation=ATTESTATION,
            basis_note=self.basis_note,
            number=self.number,
            expires_at=self.until,
        )


def opening_of(lead: LeadPage, at: datetime) -> ConsentEffect:
    """Say what the form would do now. Raises NotSuppressed, OverrideStands."""
    if not lead.stand.blocked:
        raise NotSuppressed(
            f"{national(lead.number)} is on no list that blocks it: {lead.shown} can be called without an override."
        )
    if lead.consent is None:
        return ConsentEffect(ends_at(at))
    if lead.consent.expires_at > at + RENEWABLE:
        raise OverrideStands(
            f"{lead.shown} holds override {lead.consent.id} until {day(lead.consent.expires_at)}. "
            f"It can be renewed in its last {RENEWABLE.days} days."
        )
    return ConsentEffect(ends_at(at), lead.consent.id)


def read_consent(sent: Form, lead: LeadPage, opening: ConsentEffect, at: datetime) -> ConsentFields | None:
    """Read the fields; note beside each what is wrong with it. None when one cannot be read at all."""
    basis = sent.text("basis")
    if basis not in list(Basis):
        sent.errors["basis"] = "Choose what the consent rests on."
    if basis == Basis.OTHER and not sent.text("basis_note"):
        sent.errors["basis_note"] = "Say what the consent rests on."
    consented_on = sent.day("consented_on", "Give the date of the consent, as it stands in the document.")
    if consented_on is not None and consented_on > (at + EASTERNMOST).date():
        sent.errors["consented_on"] = "The consent is dated in the future. Give the date that stands in the document."
    if sent.text("attestation") != ATTESTATION:
        sent.errors["attestation"] = "Read the statement and tick it. Without it nothing is opened."
    if sent.text("number") != lead.number:
        sent.errors[STALE] = (
            f"The lead has got another number since you opened this form: {national(lead.number)}. "
            "Check that the consent is for that one, and save again."
        )
    elif sent.text("replaces") != opening.carried["replaces"]:
        sent.errors[STALE] = (
            "The lead's override has changed since you opened this form. "
            "Read above what saving would do now, and save again."
        )
    if consented_on is None or basis not in list(Basis):
        return None
    until = _moment(sent.text("until"), at)
    return ConsentFields(lead, Basis(basis), sent.text("basis_note"), consented_on, E164(sent.text("number")), until)


def _moment(text: str, at: datetime) -> datetime:
    """Read until when the form said it would open the lead, so that what was read is what is saved."""
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        return ends_at(at)
    return until if until.tzinfo else ends_at(at)
