"""The consent form. It shows which lead it would open, takes the document, and places the override."""

from aiohttp import web

from admin_web.documents import Kept
from admin_web.people.permissions import Permission
from admin_web.queries.consent import ConsentSubject, consent_subject, neighbours
from admin_web.services import public_words
from admin_web.services.documents import or_discarded
from admin_web.services.overrides import Granted, grant_override, renew_override
from admin_web.site.consent_form import FIELDS, STALE, ConsentFields, carried, field_of, read_consent
from admin_web.site.forms import Form, UploadForm, read_upload
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, DOCUMENTS, NOW, RECORDS, SETTINGS
from admin_web.site.pages import in_force, render, see_other
from admin_web.site.routing import Route
from admin_web.site.subjects import lead_of
from compliance import dates
from compliance.consent import ATTESTATION, Basis
from compliance.openable import Effect, effect_of


async def form(request: web.Request) -> web.StreamResponse:
    """Show the form, if an override would open some block of the lead. Raises what `effect_of` raises."""
    lead, at = await _subject(request, request.query.get("number", "")), request.app[NOW]()
    return await _page(request, lead, effect_of(lead.stand.facts, at, lead.stand.elsewhere), Form({}))


async def place(request: web.Request) -> web.StreamResponse:
    """Place the override for the consent in the form. If a field is invalid, show its error beside it."""
    upload, at = await read_upload(request), request.app[NOW]()
    lead = await _subject(request, upload.form.text("number"))
    sent, effect = upload.form, effect_of(lead.stand.facts, at, lead.stand.elsewhere)
    fields = read_consent(sent, lead, effect, request.app[RECORDS].rules, at)
    if not upload.file_name:
        sent.errors["document"] = "Choose the consent document. An override cannot be placed without it."
    if not sent.errors and fields is not None:
        try:
            granted = await _granted(request, effect, fields, await _kept(request, upload))
        except tuple(FIELDS) as error:
            sent.errors[field_of(error)] = public_words(error)
        else:
            return _opened(request, granted)
    await _drain(upload, request.app[SETTINGS].document_bytes)
    return await _page(request, lead, effect, sent, status=422)


async def _subject(request: web.Request, number: str) -> ConsentSubject:
    """Read the lead, about `number` if the lead has it."""
    return await consent_subject(request.app[DATABASE], lead_of(request), request.app[NOW](), number)


async def _kept(request: web.Request, upload: UploadForm) -> Kept:
    """Store the document while it arrives. Raises DocumentNotKept."""
    return await request.app[DOCUMENTS].keep(upload.pieces(), upload.file_name, upload.media_type)


async def _granted(request: web.Request, effect: Effect, fields: ConsentFields, kept: Kept) -> Granted:
    """Place the override. Raises a subclass of Refused that is in FIELDS."""
    records, consent = request.app[RECORDS], fields.consent(kept)
    async with or_discarded(records.database, request.app[DOCUMENTS], kept):
        if effect.replaces is None:
            return await grant_override(records, actor(request), consent)
        return await renew_override(records, actor(request), consent, effect.replaces)


def _opened(request: web.Request, granted: Granted) -> web.Response:
    said = f"Override {granted.override_id} opens this lead alone until {dates.utc(granted.expires_at)}."
    if granted.held:
        said = f"Override {granted.override_id} is recorded. It opens this lead once an admin has reviewed it."
    return see_other(request, "lead", lead=granted.lead, notice=in_force(said, granted.standing))


async def _drain(upload: UploadForm, most: int) -> None:
    """Read the rest of a file and discard it: a browser shows no answer before it has sent its form."""
    size = 0
    async for piece in upload.pieces():
        size += len(piece)
        if size > most:
            return


async def _page(
    request: web.Request, lead: ConsentSubject, effect: Effect, sent: Form, *, status: int = 200
) -> web.Response:
    """Show the form again, with the values that were sent and with the current state of the lead."""
    if STALE in sent.errors or status == 200:
        sent = Form({**sent.values, "number": lead.number, **carried(effect)}, sent.errors)
    at = request.app[NOW]()
    return await render(
        request,
        "overrides/form.html",
        status=status,
        lead=lead,
        effect=effect,
        others=await neighbours(request.app[DATABASE], lead, at),
        form=sent,
        bases=list(Basis),
        attestation=ATTESTATION,
        most_mb=request.app[SETTINGS].document_mb,
        today=request.app[RECORDS].today(),
        policy=request.app[RECORDS].rules.policy,
        held=request.app[RECORDS].rules.reviewed_first,
    )


ROUTES = (
    Route("GET", "/leads/{lead}/override", form, Permission.OVERRIDE, "lead-override"),
    Route("POST", "/leads/{lead}/override", place, Permission.OVERRIDE, "lead-override", upload=True),
)
