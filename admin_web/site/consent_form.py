"""The fields of the consent form: read, and checked by the rules of the service that places overrides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from admin_web.documents import DocumentNotKept, Kept
from admin_web.queries.consent import ConsentSubject
from admin_web.services.consents import Consent, ConsentRecord, ExpiryNotAllowed, NumberNotNamed, OtherNumber
from admin_web.services.overrides import NothingToRenew, NotYetRenewable
from admin_web.site.forms import Form, day_in
from admin_web.site.labels import national
from compliance.consent import Basis, ends_at
from compliance.consent_rules import ConsentRules, Tie
from compliance.consent_statement import (
    ConsentInFuture,
    ConsentStatement,
    ConsentTooOld,
    NoBasis,
    NotAttested,
    NotDated,
    RelationshipEnded,
    TieMissing,
    faults_of,
)
from compliance.openable import (
    BasisNotEnough,
    ConsentOutdated,
    Effect,
    NotOpenable,
    NotSuppressed,
    OverrideStands,
    SameDayUnexplained,
)
from compliance.refusal import Refused, Unwritable

STALE = "stale"
"""Where the form shows an error that belongs to no field."""

FIELDS: Mapping[type[Refused], str] = {
    NoBasis: "basis",
    Unwritable: "basis_note",
    NotDated: "consented_on",
    ConsentInFuture: "consented_on",
    ConsentTooOld: "consented_on",
    ConsentOutdated: "consented_on",
    RelationshipEnded: "consented_on",
    SameDayUnexplained: "same_day_reason",
    TieMissing: "tie",
    BasisNotEnough: "basis",
    NotAttested: "attestation",
    DocumentNotKept: "document",
    ExpiryNotAllowed: STALE,
    OtherNumber: STALE,
    NumberNotNamed: STALE,
    NotSuppressed: STALE,
    NotOpenable: STALE,
    OverrideStands: STALE,
    NothingToRenew: STALE,
    NotYetRenewable: STALE,
}
"""The field beside which the form shows each refusal of the service."""


RECORD = ("seller", "purpose", "request_shown", "signature")
"""The optional fields of a complete record of consent."""


@dataclass(frozen=True, slots=True)
class ConsentFields:
    """The fields of the form, without its document, which arrives after them."""

    lead: ConsentSubject
    basis: Basis
    basis_note: str
    consented_on: date
    attestation: str
    until: datetime
    tie: Tie | None
    same_day_reason: str
    record: ConsentRecord

    def consent(self, document: Kept) -> Consent:
        """Return the consent that these fields and a document make."""
        return Consent(
            lead=self.lead.id,
            basis=self.basis,
            consented_on=self.consented_on,
            document=document,
            attestation=self.attestation,
            basis_note=self.basis_note,
            number=self.lead.number,
            expires_at=self.until,
            same_day_reason=self.same_day_reason,
            tie=self.tie,
            record=self.record,
        )


def carried(effect: Effect) -> dict[str, str]:
    """Return the hidden fields. They hold what the form showed, so that exactly this is saved or refused."""
    return {"until": effect.until.isoformat(), "replaces": str(effect.replaces or "")}


def read_consent(
    sent: Form, lead: ConsentSubject, effect: Effect, rules: ConsentRules, at: datetime
) -> ConsentFields | None:
    """Read the fields. If any is invalid, record its error in the form and return None."""
    basis = Basis(sent.text("basis")) if sent.text("basis") in list(Basis) else None
    consented_on = day_in(sent.text("consented_on"))
    note, attestation = sent.text("basis_note"), sent.text("attestation")
    tie = Tie(sent.text("tie")) if sent.text("tie") in list(Tie) else None
    for fault in faults_of(ConsentStatement(basis, note, consented_on, attestation, tie), rules, at):
        sent.errors[field_of(fault)] = str(fault)
    if sent.text("number") != lead.number:
        sent.errors[STALE] = (
            f"The lead has got another number since you opened this form: {national(lead.number)}. "
            "Check that the consent is for that one, and save again."
        )
    elif sent.text("replaces") != carried(effect)["replaces"]:
        sent.errors[STALE] = (
            "The lead's override has changed since you opened this form. "
            "Read above what saving would do now, and save again."
        )
    if sent.errors or basis is None or consented_on is None:
        return None
    until = _moment(sent.text("until"), at)
    if rules.policy.asks_for_tie(basis):  # The form shows the usual twelve months, and a relationship may end sooner.
        until = min(until, rules.end_of(at, basis, tie, consented_on))
    record = ConsentRecord(**{name: sent.text(name) for name in RECORD})
    return ConsentFields(lead, basis, note, consented_on, attestation, until, tie, sent.text("same_day_reason"), record)


def field_of(refused: Refused) -> str:
    """Return the field that a refusal of the service belongs to."""
    return next(name for kind, name in FIELDS.items() if isinstance(refused, kind))


def _moment(text: str, at: datetime) -> datetime:
    """Read the end of the override that the form showed, so that exactly this end is saved."""
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        return ends_at(at)
    return until if until.tzinfo else ends_at(at)
