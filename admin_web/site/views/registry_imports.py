"""Import of a registry's file: upload, preview of the file and of what the import will change, and start of the job."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from aiohttp import web

from admin_web.lists.registries.formats import CSV, FORMATS
from admin_web.lists.registries.import_jobs import RegistryImport, ask_import
from admin_web.lists.registries.preview import RegistryPreview, preview
from admin_web.lists.registries.reader import Reading, found_format
from admin_web.lists.registries.source import Source
from admin_web.lists.registries.version_request import ARE_CHANGES, CHANGES, FULL, NO_DEEDS, PART
from admin_web.lists.sheet import NotASheet
from admin_web.lists.sheet_store import KeptSheet, SheetNotKept, SheetStore, UnknownSheet
from admin_web.people.permissions import Permission
from admin_web.queries.registries import RegistryStanding, one_standing
from admin_web.services.job_kinds import IMPORT_REGISTRY
from admin_web.services.jobs import JobUnderWay
from admin_web.services.registries import LONGEST_ACCOUNT, UnknownRegistry, VersionMoved
from admin_web.site.forms import EMPTY, Form, UploadForm, read_form, read_upload
from admin_web.site.guard import actor, person
from admin_web.site.keys import DATABASE, NOW, SETTINGS
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from admin_web.site.views.imports import column_spec
from admin_web.site.views.registries import ONE
from compliance.refusal import Unwritable, cleaned
from compliance.today import is_to_come

TAKEN_AS = (
    (FULL, "The whole registry", "Numbers that are listed now but not in the file are no longer listed."),
    (PART, "Some area codes", "The area codes in the file are replaced; all others stay."),
    (CHANGES, "Changes", "Numbers are added to what is listed now, and deleted from it."),
)
FORMS = tuple((form.name, form.title) for form in FORMATS.values())
"""The choices of the form: value and label."""

NO_FILE = "Choose the file to import."
NO_DAY = "Enter the day on which the file was obtained."
TO_COME = "This day is in the future. Enter the day on which the file was obtained."
NO_CHANGES = "There is no version yet to apply changes to. Import the whole registry first."


@dataclass(frozen=True, slots=True)
class Seen:
    """An uploaded sheet with its preview, and the registry that it is for."""

    one: RegistryStanding
    sheet: KeptSheet
    found: RegistryPreview


async def form(request: web.Request) -> web.StreamResponse:
    """Show the upload form."""
    return await _form(request, await _one(request), EMPTY)


async def upload(request: web.Request) -> web.StreamResponse:
    """Store an uploaded file and redirect to its preview. Nothing is imported yet; an unreadable file is not kept."""
    one = await _one(request)
    sent = await read_upload(request)
    try:
        sheet = await _kept(request, sent, one)
    except (SheetNotKept, NotASheet) as error:
        sent.form.errors["file"] = str(error)
        return await _form(request, one, sent.form, 422)
    return see_other(request, "registry-file", registry=one.name, upload=sheet.token)


async def shown(request: web.Request) -> web.StreamResponse:
    """Show what was found in the file, read with the format and columns in the URL."""
    asked = Form(request.query)
    return await _preview(request, await _seen(request, asked), asked)


async def start(request: web.Request) -> web.StreamResponse:
    """Queue a job that imports the file."""
    sent = await read_form(request)
    seen = await _seen(request, sent)
    asked = _asked(request, seen, sent)
    if asked is None:
        return await _preview(request, seen, sent, 422)
    try:
        job = await ask_import(request.app[DATABASE], actor(request), asked, now=request.app[NOW])
    except (VersionMoved, JobUnderWay) as error:
        sent.errors["over"] = str(error)
        return await _preview(request, seen, sent, 422)
    notice = Notice("The import is queued; a worker starts it within a second. You may leave this page.")
    return see_other(request, "job", job=str(job), notice=notice)


async def _kept(request: web.Request, sent: UploadForm, one: RegistryStanding) -> KeptSheet:
    """Store a file if its format is recognised. Raises SheetNotKept, NotASheet."""
    if not sent.file_name:
        raise SheetNotKept(NO_FILE)
    store = SheetStore.of_registries(request.app[SETTINGS])
    sheet = await store.keep(sent.pieces(), sent.file_name, IMPORT_REGISTRY.name, person(request).name, one.name)
    try:
        await _looked_at(request, sheet, one, EMPTY)
    except NotASheet:
        store.discard(sheet)
        raise
    return sheet


async def _form(request: web.Request, one: RegistryStanding, sent: Form, status: int = 200) -> web.StreamResponse:
    most = request.app[SETTINGS].registry_mb
    return await render(request, "registries/import.html", status=status, form=sent, one=one, most_mb=most)


async def _preview(request: web.Request, seen: Seen, sent: Form, status: int = 200) -> web.StreamResponse:
    return await render(
        request, "registries/preview.html", status=status, form=sent, seen=seen, taken_as=TAKEN_AS, forms=FORMS
    )


async def _one(request: web.Request) -> RegistryStanding:
    """Return the registry named in the URL. Raises UnknownRegistry."""
    name = request.match_info["registry"]
    found = await one_standing(request.app[DATABASE], name, request.app[NOW]())
    if found is None:
        raise UnknownRegistry(f"There is no registry {name}.")
    return found


async def _seen(request: web.Request, asked: Form) -> Seen:
    """Preview the sheet named in the URL. Raises UnknownSheet unless this person uploaded it, SheetNotKept."""
    one = await _one(request)
    sheet = SheetStore.of_registries(request.app[SETTINGS]).find(request.match_info["upload"])
    if (sheet.by, sheet.kind, sheet.registry) != (person(request).name, IMPORT_REGISTRY.name, one.name):
        raise UnknownSheet("There is no such file.")
    try:
        return Seen(one, sheet, await _looked_at(request, sheet, one, asked))
    except NotASheet as error:  # The form may choose a format other than the one found at the upload.
        raise SheetNotKept(str(error)) from None


async def _looked_at(request: web.Request, sheet: KeptSheet, one: RegistryStanding, asked: Form) -> RegistryPreview:
    """Read the first rows, in a thread because a hostile file may take a while. Raises UnknownSheet, NotASheet."""
    path = SheetStore.of_registries(request.app[SETTINGS]).path(sheet)

    def look() -> RegistryPreview:
        source = Source([path], sheet.name)
        read = FORMATS.get(asked.text("read_as")) or found_format(source, None)
        return preview(source, Reading(one.registry.country, read, _column(asked.values) if read is CSV else None))

    return await asyncio.to_thread(look)


def _column(values: Mapping[str, str]) -> str | None:
    """Return the chosen columns as `Reading` takes them. Values that are no positions are ignored."""
    number, area = (column_spec(values.get(what, "")) for what in ("number", "area"))
    if not number:
        return None
    return f"{area}+{number}" if area.isdecimal() and number.isdecimal() and area != number else number


def _asked(request: web.Request, seen: Seen, sent: Form) -> RegistryImport | None:
    """Read the requested import; None when the form has errors or the file cannot be read that way."""
    taken_as, day = sent.text("taken_as"), sent.day("obtained", NO_DAY)
    _judge(seen, sent, taken_as, day, request.app[NOW]())
    over, account = sent.text("over"), sent.text("account")
    if sent.errors or seen.found.problem or day is None:
        return None
    return RegistryImport(
        seen.sheet,
        taken_as,
        day,
        int(over) if over.isdecimal() and len(over) < 18 else -1,
        seen.found.form.name,
        seen.found.column,
        account if account != (seen.one.registry.owner_account or "") else None,
        sent.ticked("allow_drop"),
    )


def _judge(seen: Seen, sent: Form, taken_as: str, day: date | None, at: datetime) -> None:
    """Record what is wrong in the form, by field."""
    if day is not None and is_to_come(day, at):
        sent.errors["obtained"] = TO_COME
    if taken_as not in {FULL, PART, CHANGES}:
        sent.errors["taken_as"] = "Choose what the file is."
    elif seen.found.says_deeds and taken_as != CHANGES:
        sent.errors["taken_as"] = ARE_CHANGES
    elif taken_as == CHANGES and not seen.found.says_deeds:
        sent.errors["taken_as"] = NO_DEEDS
    elif taken_as == CHANGES and seen.one.version is None:
        sent.errors["taken_as"] = NO_CHANGES
    try:
        cleaned(sent.text("account"), LONGEST_ACCOUNT, "The account")
    except Unwritable as error:
        sent.errors["account"] = str(error)


IMPORT = f"{ONE}/import"

ROUTES = (
    Route("GET", IMPORT, form, Permission.IMPORT, "registry-files"),
    Route("POST", IMPORT, upload, Permission.IMPORT, "registry-files", upload=True),
    Route("GET", f"{IMPORT}/{{upload}}", shown, Permission.IMPORT, "registry-file"),
    Route("POST", f"{IMPORT}/{{upload}}", start, Permission.IMPORT, "registry-file"),
)
