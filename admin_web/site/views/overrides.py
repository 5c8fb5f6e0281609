"""The consent form: it says what it would open, takes the document, and opens one lead on one number."""

from collections.abc import Mapping

from aiohttp import web

from admin_web.documents import DocumentNotKept, Kept
from admin_web.people.permissions import Permission
from admin_web.queries.lead import LeadPage
from admin_web.services.documents import or_discarded
from admin_web.services.overrides import (
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
from admin_web.site.consent_form import STALE, ConsentEffect, ConsentFields, opening_of, read_consent
from admin_web.site.forms import Form, UploadForm, read_upload
from admin_web.site.guard import actor
from admin_web.site.keys import DOCUMENTS, NOW, RECORDS, SETTINGS
from admin_web.site.pages import day, in_force, render, see_other
from admin_web.site.routing import Route
from admin_web.site.views.leads import the_lead
from compliance.consent import ATTESTATION, Basis
from compliance.refusal import Refused, Unwritable

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


async def form(request: web.Request) -> web.StreamResponse:
    """Show the form, if there is anything to open."""
    lead, at = await the_lead(request), request.app[NOW]()
    opening = opening_of(lead, at)
    return await _page(request, lead, opening, Form({}))


async def place(request: web.Request) -> web.StreamResponse:
    """Open the lead on the consent that the form brought, or say beside each field what is missing."""
    upload, lead, at = await read_upload(request), await the_lead(request), request.app[NOW]()
    sent, opening = upload.form, opening_of(lead, at)
    asked = read_consent(sent, lead, opening, at)
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


async def _kept(request: web.Request, upload: UploadForm) -> Kept:
    """Keep the document as it arrives. Raises DocumentNotKept."""
    return await request.app[DOCUMENTS].keep(upload.pieces(), upload.file_name, upload.media_type)


async def _granted(request: web.Request, opening: ConsentEffect, asked: ConsentFields, kept: Kept) -> Granted:
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


async def _drain(upload: UploadForm, most: int) -> None:
    """Let the rest of a file arrive and go: a browser shows no answer before it has sent its form."""
    size = 0
    async for piece in upload.pieces():
        size += len(piece)
        if size > most:
            return


async def _page(
    request: web.Request, lead: LeadPage, opening: ConsentEffect, sent: Form, *, status: int = 200
) -> web.Response:
    """Show the form as it was sent, with the lead as it is now."""
    if STALE in sent.errors or status == 200:
        sent = Form({**sent.values, "number": lead.number, **opening.carried}, sent.errors)
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
