"""Imports to the Do-Not-Call list: the list of them, and undoing one, with a preview."""

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.services.job_kinds import UNDO_IMPORT
from admin_web.services.jobs import ask
from admin_web.services.suppression import LONGEST_NOTE
from admin_web.services.undoing import UnknownImport, imports_on_record, one_import
from admin_web.site.forms import EMPTY, Form, read_form
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from admin_web.site.subjects import id_in
from compliance.refusal import Unwritable, cleaned


async def shown(request: web.Request) -> web.StreamResponse:
    """List the newest imports."""
    return await render(request, "lists/imports.html", imports=await imports_on_record(request.app[DATABASE]))


async def one(request: web.Request) -> web.StreamResponse:
    """Show what undoing an import would do, and the form for its reason."""
    return await _one(request, EMPTY)


async def undo(request: web.Request) -> web.StreamResponse:
    """Queue a job that undoes an import."""
    sent, import_id = await read_form(request), _import_id(request)
    try:
        reason = cleaned(sent.text("reason"), LONGEST_NOTE, "The reason", required=True)
    except Unwritable as error:
        sent.errors["reason"] = str(error)
        return await _one(request, sent, 422)
    await one_import(request.app[DATABASE], import_id)
    particulars = {"import": import_id, "reason": reason}
    job = await ask(request.app[DATABASE], actor(request), UNDO_IMPORT.name, particulars, now=request.app[NOW])
    notice = Notice("The undoing is queued; a worker starts it within a second. You may leave this page.")
    return see_other(request, "job", job=str(job), notice=notice)


async def _one(request: web.Request, sent: Form, status: int = 200) -> web.StreamResponse:
    found = await one_import(request.app[DATABASE], _import_id(request))
    return await render(request, "lists/undo.html", status=status, form=sent, found=found)


def _import_id(request: web.Request) -> int:
    """Return the id in the URL. Raises UnknownImport."""
    import_id = id_in(request.match_info["imported"])
    if import_id is None:
        raise UnknownImport("There is no such import.")
    return import_id


ROUTES = (
    Route("GET", "/lists/imports", shown, Permission.LIFT, "lists-imports"),
    Route("GET", "/lists/imports/{imported}", one, Permission.LIFT, "lists-imported"),
    Route("POST", "/lists/imports/{imported}/undo", undo, Permission.LIFT, "lists-undo"),
)
