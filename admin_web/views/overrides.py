"""The consent form: it says what it would open, takes the document, and opens one lead on one number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from aiohttp import web

from admin_web.auth.guard import actor
from admin_web.documents import DocumentNotKept, Kept
from admin_web.forms import Form, Upload, read_upload
from admin_web.keys import DOCUMENTS, NOW, RECORDS, SETTINGS
from admin_web.pages import day, in_force, national, render, see_other
from admin_web.permissions import Permission
from admin_web.reading.lead import LeadPage
from admin_web.routing import Route
from admin_web.services.documents import or_discarded
from admin_web.services.overrides import (
    EASTERNMOST,
    RENEWABLE,
    Consent,
    ConsentInFuture,
    ExpiryNotAllowed,
    Granted,
    NotAttested,
    NothingToRenew,
    NotSuppressed,
    NotYetRenewable,
    OtherNumber,
    OverrideStands,
    grant_override,
    renew_override,
)
from admin_web.services.refusal import Refused, Unwritable
from admin_web.views.leads import the_lead
from compliance.consent import ATTESTATION, Basis, ends_at
from compliance.numbers import E164

STALE = "stale"
"""Where the form shows an error that belongs to no field."""

AGAIN = " Choose the file again, too: a browser does not keep it."

_FIELDS: Mapping[type[Refused], str] = {
    ConsentInFuture: "consented_on",
    NotAttested: "attestation",
    Unwritable: "basis_note",
    DocumentNotKept: "document",
    ExpiryNotAllowed: STALE,
    OtherNumber: STALE,
    NotSuppressed: STALE,
    OverrideStands: STALE,
    NothingToRenew: STALE,
    NotYetRenewable: STALE,
}


@dataclass(frozen=True, slots=True)
class Opening:
    """What saving the form would do: open the lead until a moment, in place of the override `replaces`, if any."""

    until: datetime
    replaces: int | None = None


async def form(request: web.Request) -> web.StreamResponse:
    """Show the form, if there is anything to open."""
    lead, at = await the_lead(request), request.app[NOW]()
    opening = _opening(lead, at)
    return await _page(request, lead, opening, Form({"number": lead.number, "until": opening.until.isoformat()}))


async def place(request: web.Request) -> web.StreamResponse:
    """Open the lead on the consent that the form brought, or say beside each field what is missing."""
    upload, lead, at = await read_upload(request), await the_lead(request), request.app[NOW]()
    sent, opening = upload.form, _opening(lead, at)
    asked = _read(sent, lead, at)
    if not upload.file_name:
        sent.errors["document"] = "Choose the consent document. Without a document nothing is opened."
    if not sent.errors and asked is not None:
        try:
            granted = await _granted(request, opening, asked, await _kept(request, upload))
        except tuple(_FIELDS) as error:
            sent.errors[_field_of(error)] = str(error)
        else:
            return _opened(request, granted)
    await _drain(upload, request.app[SETTINGS].document_bytes)
    return await _page(request, lead, opening, sent, status=422)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The fields of the form, read; the document comes after them."""

    lead: LeadPage
    basis: Basis
    basis_note: str
    consented_on: date
    number: E164
    until: datetime

    def consent(self, document: Kept) -> Consent:
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


def _opening(lead: LeadPage, at: datetime) -> Opening:
    """Say what the form would do now. Raises NotSuppressed, OverrideStands."""
    if not lead.stand.listed:
        raise NotSuppressed(f"{national(lead.number)} is on no list: {lead.shown} can be called without an override.")
    if lead.consent is None:
        return Opening(ends_at(at))
    if lead.consent.expires_at > at + RENEWABLE:
        raise OverrideStands(
            f"{lead.shown} holds override {lead.consent.id} until {day(lead.consent.expires_at)}. "
            f"It can be renewed in its last {RENEWABLE.days} days."
        )
    return Opening(ends_at(at), lead.consent.id)


def _read(sent: Form, lead: LeadPage, at: datetime) -> _Asked | None:
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
    if consented_on is None or basis not in list(Basis):
        return None
    until = _moment(sent.text("until"), at)
    return _Asked(lead, Basis(basis), sent.text("basis_note"), consented_on, E164(sent.text("number")), until)


def _moment(text: str, at: datetime) -> datetime:
    """Read until when the form said it would open the lead, so that what was read is what is saved."""
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        return ends_at(at)
    return until if until.tzinfo else ends_at(at)


async def _kept(request: web.Request, upload: Upload) -> Kept:
    """Keep the document as it arrives. Raises DocumentNotKept."""
    return await request.app[DOCUMENTS].keep(upload.pieces(), upload.file_name, upload.media_type)


async def _granted(request: web.Request, opening: Opening, asked: _Asked, kept: Kept) -> Granted:
    """Raises the Refused that `_FIELDS` names."""
    records, consent = request.app[RECORDS], asked.consent(kept)
    async with or_discarded(records.database, request.app[DOCUMENTS], kept):
        if opening.replaces is None:
            return await grant_override(records, actor(request), consent)
        return await renew_override(records, actor(request), consent, opening.replaces)


def _field_of(error: Refused) -> str:
    return next(name for kind, name in _FIELDS.items() if isinstance(error, kind))


def _opened(request: web.Request, granted: Granted) -> web.Response:
    said = f"Override {granted.override_id} opens this lead alone until {day(granted.expires_at)}."
    return see_other(request, "lead", lead=granted.lead, notice=in_force(said, granted.standing))


async def _drain(upload: Upload, most: int) -> None:
    """Let the rest of a file arrive and go: a browser shows no answer before it has sent its form."""
    size = 0
    async for piece in upload.pieces():
        size += len(piece)
        if size > most:
            return


async def _page(
    request: web.Request, lead: LeadPage, opening: Opening, sent: Form, *, status: int = 200
) -> web.Response:
    """Show the form as it was sent, with the lead as it is now."""
    if STALE in sent.errors or status == 200:
        sent = Form({**sent.values, "number": lead.number, "until": opening.until.isoformat()}, sent.errors)
    return await render(
        request,
        "overrides/form.html",
        status=status,
        lead=lead,
        opening=opening,
        form=sent,
        bases=list(Basis),
        attestation=ATTESTATION,
        most_mb=request.app[SETTINGS].document_mb,
        today=request.app[NOW]().date(),
    )


ROUTES = (
    Route("GET", "/leads/{lead}/override", form, Permission.OVERRIDE, "lead-override"),
    Route("POST", "/leads/{lead}/override", place, Permission.OVERRIDE, "lead-override", upload=True),
)
