"""Import of a file: upload, preview with a choice of columns, and start of the job."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from aiohttp import web

from admin_web.lists.import_jobs import SheetImport
from admin_web.lists.lift_import import LiftCounts, preview_lift
from admin_web.lists.number_import import require_no_end
from admin_web.lists.preview import SheetPreview, preview
from admin_web.lists.sheet import NotASheet
from admin_web.lists.sheet_store import KeptSheet, SheetNotKept, SheetStore, UnknownSheet
from admin_web.people.permissions import Permission
from admin_web.queries.campaign_lists import all_campaign_lists, one_campaign_list
from admin_web.services.job_kinds import IMPORT_LEADS, IMPORT_NUMBERS, LIFT_NUMBERS
from admin_web.services.jobs import ask
from admin_web.services.requests import RequestNotDated, checked_day
from admin_web.services.suppression import LONGEST_NOTE
from admin_web.site.forms import EMPTY, Form, read_form, read_upload
from admin_web.site.guard import actor, person
from admin_web.site.keys import DATABASE, NOW, RECORDS, SETTINGS
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from compliance.ends import EndRefused
from compliance.redis_schema import INTERNAL
from compliance.refusal import Unwritable, cleaned

KINDS = {"numbers": IMPORT_NUMBERS.name, "leads": IMPORT_LEADS.name, "lifts": LIFT_NUMBERS.name}
"""The name of each kind of import in URLs."""

MOST_COUNTED = 10_000
"""Maximum number of numbers that the preview looks up in a file of numbers to lift."""

COLUMNS = ("number", "lead", "name", "ends")
_CHOICES = {
    IMPORT_NUMBERS.name: ("number", "ends"), IMPORT_LEADS.name: ("lead", "number", "name"),
    LIFT_NUMBERS.name: ("number",),
}  # fmt: skip
"""The columns that a person can choose, by kind of import."""

_SPEC = re.compile(r"[0-9]{1,5}(?:[,+][0-9]{1,5}){0,49}")

ONLY_REQUESTS = "A date belongs to requests: tick that these are people's own requests, or leave the date empty."
NOT_READ = "Confirm that the columns that are not read contain no numbers for this list, or choose them above."
OWN_LIST_ONLY = "Requests not to be called go on the company's own list. Choose that list, or record no requests."
NO_FILE = "Choose the file to import."


async def form(request: web.Request) -> web.StreamResponse:
    """Show the upload form."""
    return await _form(request, EMPTY)


async def upload(request: web.Request) -> web.StreamResponse:
    """Store an uploaded file and redirect to its preview. Nothing is imported yet."""
    kind, sent = _kind(request), await read_upload(request)
    if not sent.file_name:
        sent.form.errors["file"] = NO_FILE
        return await _form(request, sent.form, status=422)
    store = SheetStore.of(request.app[SETTINGS])
    try:
        kept = await store.keep(sent.pieces(), sent.file_name, KINDS[kind], person(request).name)
        await _previewed(request, SheetImport(kept))
    except (SheetNotKept, NotASheet) as error:
        sent.form.errors["file"] = str(error)
        return await _form(request, sent.form, status=422)
    return see_other(request, "imports-preview", sheet=kept.token)


async def shown(request: web.Request) -> web.StreamResponse:
    """Show the first rows as an import with the columns in the URL would read them."""
    return await _preview(request, Form(request.query))


async def start(request: web.Request) -> web.StreamResponse:
    """Queue a job that imports the file."""
    sent = await read_form(request)
    sheet, list_name = _sheet(request), sent.text("list") or INTERNAL
    asked_on, until = _asked_on(request, sheet, sent), sent.text("until")
    asked = SheetImport(sheet, _columns(sent.values), sent.text("note"), asked_on, list_name, until)
    if list_name != INTERNAL:
        await one_campaign_list(request.app[DATABASE], list_name)
        if asked_on is not None:
            sent.errors["list"] = OWN_LIST_ONLY
    seen = await _previewed(request, asked)
    try:
        lifts = asked.sheet.kind == LIFT_NUMBERS.name
        cleaned(asked.note, LONGEST_NOTE, "The reason" if lifts else "The note", required=lifts)
    except Unwritable as error:
        sent.errors["note"] = str(error)
    if asked.sheet.kind == IMPORT_NUMBERS.name and seen.unread and not sent.ticked("unread"):
        sent.errors["unread"] = NOT_READ
    if asked.sheet.kind == IMPORT_NUMBERS.name:
        try:
            ends = asked.ends(request.app[RECORDS].rules, request.app[NOW]())
            require_no_end(asked.asked_on, ends)
        except EndRefused as error:
            sent.errors["until"] = str(error)
    if seen.problem or sent.errors:
        return await _preview(request, sent, status=422)
    asked = replace(asked, columns=seen.chosen)
    job = await ask(request.app[DATABASE], actor(request), asked.sheet.kind, asked.particulars, now=request.app[NOW])
    notice = Notice("The import is queued; a worker starts it within a second. You may leave this page.")
    return see_other(request, "job", job=str(job), notice=notice)


def _asked_on(request: web.Request, sheet: KeptSheet, sent: Form) -> date | None:
    """Return the day on which the people of a file asked, by default today; None if these are no requests.

    The day is fixed when the job is requested, so a job that runs after midnight records the same day.
    """
    if sheet.kind != IMPORT_NUMBERS.name or not sent.ticked("requests"):
        if sent.text("asked_on"):
            sent.errors["asked_on"] = ONLY_REQUESTS
        return None
    day = sent.day("asked_on", "Write a day, such as 23 Nov 2026.") if sent.text("asked_on") else None
    if sent.errors:
        return None
    try:
        return checked_day(day, request.app[RECORDS].today())
    except RequestNotDated as error:
        sent.errors["asked_on"] = str(error)
        return None


async def _form(request: web.Request, shown: Form, status: int = 200) -> web.StreamResponse:
    most = request.app[SETTINGS].import_mb
    return await render(request, "imports/form.html", status=status, form=shown, kind=_kind(request), most_mb=most)


async def _preview(request: web.Request, sent: Form, status: int = 200) -> web.StreamResponse:
    asked = SheetImport(_sheet(request), _columns(sent.values))
    seen = await _previewed(request, asked)
    columns = _CHOICES[asked.sheet.kind]
    lifts = await _lifts(request, asked.sheet, seen)
    return await render(
        request, "imports/preview.html", status=status, form=sent, sheet=asked.sheet, seen=seen, columns=columns,
        lifts=lifts, most_counted=MOST_COUNTED, campaign_lists=await all_campaign_lists(request.app[DATABASE]),
    )  # fmt: skip


async def _lifts(request: web.Request, sheet: KeptSheet, seen: SheetPreview) -> LiftCounts | None:
    """Return what lifting the numbers of a file would do; None for another kind, or if it cannot start."""
    if sheet.kind != LIFT_NUMBERS.name or seen.problem:
        return None
    settings, columns = request.app[SETTINGS], SheetImport(sheet, seen.chosen).number_columns
    with SheetStore.of(settings).open(sheet) as opened:
        return await preview_lift(
            request.app[DATABASE], opened, region=settings.region, columns=columns, most=MOST_COUNTED
        )


async def _previewed(request: web.Request, asked: SheetImport) -> SheetPreview:
    """Read the first rows, in a thread because a hostile file may take a while. Raises NotASheet."""
    settings, rules, at = request.app[SETTINGS], request.app[RECORDS].rules, request.app[NOW]()
    ends = replace(asked, until="").ends(rules, at)

    def read() -> SheetPreview:
        with SheetStore.of(settings).open(asked.sheet) as sheet:
            return preview(sheet, asked, settings.region, ends)

    return await asyncio.to_thread(read)


def _kind(request: web.Request) -> str:
    kind = request.match_info["kind"]
    if kind not in KINDS:
        raise web.HTTPNotFound
    return kind


def _sheet(request: web.Request) -> KeptSheet:
    """Return the sheet named in the URL. Raises UnknownSheet unless this person uploaded it."""
    kept = SheetStore.of(request.app[SETTINGS]).find(request.match_info["sheet"])
    if kept.by != person(request).name or kept.kind not in KINDS.values():
        raise UnknownSheet("There is no such file.")
    return kept


def _columns(values: Mapping[str, str]) -> dict[str, str]:
    """Return the chosen columns by their position, counted from 1. Values that are no positions are ignored."""
    return {what: spec for what in COLUMNS if (spec := column_spec(values.get(what, "")))}


def column_spec(chosen: str) -> str:
    """Return `chosen` if it has the form that `number_columns` takes: positions with commas or pluses; otherwise ""."""
    return chosen if _SPEC.fullmatch(chosen) else ""


ROUTES = (
    Route("GET", "/imports/{kind}", form, Permission.IMPORT, "imports"),
    Route("POST", "/imports/{kind}", upload, Permission.IMPORT, "imports", upload=True),
    Route("GET", "/imports/sheets/{sheet}", shown, Permission.IMPORT, "imports-preview"),
    Route("POST", "/imports/sheets/{sheet}", start, Permission.IMPORT, "imports-preview"),
)
