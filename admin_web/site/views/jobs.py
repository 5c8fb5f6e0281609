"""Background jobs: the list, one job with live progress, its report, and cancelling it."""

import asyncio
import os
from pathlib import Path

from aiohttp import web

from admin_web.lists.sheet_store import SheetStore
from admin_web.people.permissions import Permission
from admin_web.queries import jobs as reading
from admin_web.queries.jobs import JobSeen
from admin_web.queries.paging import read_key
from admin_web.services.jobs import JobOver, UnknownJob, cancel
from admin_web.site.guard import actor
from admin_web.site.keys import DATABASE, NOW, SETTINGS
from admin_web.site.pages import Notice, render, see_other
from admin_web.site.routing import Route
from admin_web.site.subjects import id_in

PIECE = 256 * 1024
"""Bytes of a report that are read and sent at a time. A client has a minute to read them (`http_connection.py`)."""


async def jobs(request: web.Request) -> web.StreamResponse:
    """List the jobs, newest first."""
    after = read_key(request.query.get("after", ""), int)
    page = await reading.jobs(request.app[DATABASE], request.app[NOW](), after=after)
    return await render(request, "jobs/list.html", page=page, at_start=after is None)


async def job(request: web.Request) -> web.StreamResponse:
    """Show one job."""
    return await _shown(request, "jobs/page.html")


async def live(request: web.Request) -> web.StreamResponse:
    """Render only the part of the page that shows the progress."""
    return await _shown(request, "jobs/live.html")


async def call_off(request: web.Request) -> web.StreamResponse:
    """Cancel a job."""
    found = await _job(request)
    try:
        await cancel(request.app[DATABASE], actor(request), found.id, now=request.app[NOW])
    except JobOver as error:
        return see_other(request, "job", job=str(found.id), notice=Notice(str(error), "warn"))
    return see_other(request, "job", job=str(found.id), notice=Notice("The job is cancelled.", "warn"))


async def report(request: web.Request) -> web.StreamResponse:
    """Send the report of the rows that an import rejected, each with its reason."""
    found = await _job(request)
    path = _report(request, found)
    if path is None:
        raise web.HTTPNotFound(text="This job has no report: no row was rejected, or the report was deleted since.")
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="rejected-rows-of-job-{found.id}.csv"',
    }
    with path.open("rb") as file:
        # Not a FileResponse: it hands the file to the kernel, which does not tell whether a slow client makes progress.
        answer = web.StreamResponse(headers=headers)
        answer.content_length = os.fstat(file.fileno()).st_size
        await answer.prepare(request)
        while piece := await asyncio.to_thread(file.read, PIECE):
            await answer.write(piece)
        await answer.write_eof()
    return answer


async def _shown(request: web.Request, template: str) -> web.StreamResponse:
    found = await _job(request)
    return await render(request, template, job=found, has_report=_report(request, found) is not None)


async def _job(request: web.Request) -> JobSeen:
    """Return the job named in the URL. Raises UnknownJob."""
    job_id = id_in(request.match_info["job"])
    if job_id is None:
        raise UnknownJob("There is no such job.")
    return await reading.one_job(request.app[DATABASE], job_id, request.app[NOW]())


def _report(request: web.Request, found: JobSeen) -> Path | None:
    """Return the path of an import's report; None when there is none."""
    if "sheet" not in found.particulars:
        return None
    path = SheetStore.of(request.app[SETTINGS]).report(found.particulars["sheet"]["token"])
    return path if path.exists() else None


ROUTES = (
    Route("GET", "/jobs", jobs, Permission.IMPORT, "jobs"),
    Route("GET", "/jobs/{job}", job, Permission.IMPORT, "job"),
    Route("GET", "/jobs/{job}/live", live, Permission.IMPORT, "job-live"),
    Route("POST", "/jobs/{job}/cancel", call_off, Permission.IMPORT, "job-cancel"),
    Route("GET", "/jobs/{job}/report", report, Permission.IMPORT, "job-report"),
)
