"""The call log: every decision with the outcome of its call, unscreened calls, and the page of one call."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from admin_web.people.permissions import Permission
from admin_web.queries import call_totals
from admin_web.queries.call import decided_call, lone_record
from admin_web.queries.call_coverage import MOST_COUNTED, coverage
from admin_web.queries.call_filter import UNSCREENED, CallFilter, dialled_as
from admin_web.queries.call_totals import known_reasons, totals
from admin_web.queries.calls import CallPosition, CallSeen, call_page, every_call
from admin_web.queries.paging import Page, read_key
from admin_web.site.clock import stamp, zone_of
from admin_web.site.csv_export import stream_csv, stream_json_lines
from admin_web.site.forms import Form
from admin_web.site.keys import DATABASE, NOW, PROJECTION, SETTINGS
from admin_web.site.pages import render
from admin_web.site.routing import Route
from admin_web.site.views import filters
from compliance.rule import sentence_of
from compliance.verdict import Verdict

FILTERS = ("number", "lead", "agent", "verdict", "reason", "override", "since", "until")
VERDICTS = ((Verdict.ALLOW, "Allowed"), (Verdict.BLOCK, "Blocked"), (UNSCREENED, "Unscreened"))
COLUMNS = (
    "at", "decision", "verdict", "reason", "number", "dialed", "lead", "lead_name", "agent", "override", "channel",
    "detail", "generation", "gate", "archived_at", "disposition", "started_at", "answered_at", "ended_at",
    "seconds_billed", "pbx_records", "campaign", "telephone", "peer",
)  # fmt: skip

NOTHING: Page[CallSeen] = Page(())


async def log(request: web.Request) -> web.StreamResponse:
    """Show the calls that match the filter, one page at a time, and the period for which the log is complete."""
    database, now = request.app[DATABASE], request.app[NOW]()
    form = Form(request.query)
    wanted = _wanted(request, form)
    after = request.query.get("after", "")
    key = read_key(after, datetime, int, str)
    behind = CallPosition(*key) if key else None  # type: ignore[arg-type]
    return await render(
        request,
        "calls/log.html",
        status=422 if form.errors else 200,
        form=form,
        wanted=wanted,
        page=NOTHING if form.errors else await call_page(database, wanted, behind),
        totals=await totals(database, wanted),
        most_counted=MOST_COUNTED,
        most_decisions=call_totals.MOST_COUNTED,
        coverage=await coverage(database, request.app[PROJECTION].sides.store, now),
        verdicts=VERDICTS,
        reasons=[(reason, f"{sentence_of(reason)} ({reason})") for reason in await known_reasons(database)],
        query=_query(form),
        at_start=behind is None,
    )


async def call(request: web.Request) -> web.StreamResponse:
    """Show one decision with its PBX records, override, lead and wrap-ups."""
    found = await decided_call(request.app[DATABASE], request.match_info["decision"])
    return await render(request, "calls/call.html", found=found)


async def record(request: web.Request) -> web.StreamResponse:
    """Show a PBX record that has no decision."""
    found = await lone_record(request.app[DATABASE], int(request.match_info["record"]))
    return await render(request, "calls/record.html", found=found, record=found.records[0])


async def export_csv(request: web.Request) -> web.StreamResponse:
    """Export all calls that match the filter, as CSV."""
    rows = every_call(request.app[DATABASE], _wanted_alone(request))
    return await stream_csv(request, _file_name(request, "csv"), COLUMNS, _cells(rows))


async def export_json_lines(request: web.Request) -> web.StreamResponse:
    """Export all calls that match the filter, one JSON object per line."""
    rows = every_call(request.app[DATABASE], _wanted_alone(request))
    return await stream_json_lines(request, _file_name(request, "jsonl"), _objects(rows))


def _wanted(request: web.Request, form: Form) -> CallFilter:
    """Read the filters. Record an error in the form for one that cannot be read."""
    settings, zone = request.app[SETTINGS], zone_of(request)
    number = filters.number(form, "number", settings.region)
    verdict = filters.short(form, "verdict")
    return CallFilter(
        number=number,
        dialled=dialled_as(number, settings.prefix) if number else (),
        lead=filters.short(form, "lead"),
        agent=filters.short(form, "agent"),
        verdict=verdict if verdict in {known for known, _ in VERDICTS} else "",
        reason=filters.short(form, "reason"),
        override=filters.short(form, "override"),
        since=filters.moment(form, "since", zone),
        until=filters.moment(form, "until", zone, end=True),
    )


def _wanted_alone(request: web.Request) -> CallFilter:
    """Read the filters of an export. Raises HTTPBadRequest for an unreadable one, instead of ignoring it."""
    form = Form(request.query)
    wanted = _wanted(request, form)
    for error in form.errors.values():
        raise web.HTTPBadRequest(text=error)
    return wanted


def _query(form: Form) -> dict[str, str]:
    return {name: form.text(name)[: filters.LONGEST] for name in FILTERS if form.text(name)}


def _file_name(request: web.Request, ending: str) -> str:
    return f"calls-{stamp(request)}.{ending}"


def _values(call: CallSeen) -> dict[str, Any]:
    """Return the exported values of a call by column, in the order of COLUMNS."""
    outcome = call.outcome
    ended = (outcome.disposition, outcome.started_at, outcome.answered_at, outcome.ended_at, outcome.seconds_billed,
             outcome.records) if outcome else (None,) * 6  # fmt: skip
    whole = (
        call.at, call.decision, UNSCREENED if call.unscreened else call.verdict, call.reason, call.number, call.dialed,
        call.lead, call.lead_name, call.agent, call.override, call.channel, call.detail, call.generation, call.gate,
        call.archived_at, *ended, call.campaign, call.telephone, call.peer,
    )  # fmt: skip
    return dict(zip(COLUMNS, whole, strict=True))


async def _cells(calls: AsyncIterator[CallSeen]) -> AsyncIterator[tuple[object, ...]]:
    async for one in calls:
        yield tuple(_values(one).values())


async def _objects(calls: AsyncIterator[CallSeen]) -> AsyncIterator[Mapping[str, Any]]:
    async for one in calls:
        yield _values(one)


ROUTES = (
    Route("GET", "/calls", log, Permission.SEE_CALLS, "calls"),
    Route("GET", "/calls/export.csv", export_csv, Permission.EXPORT, "calls-csv"),
    Route("GET", "/calls/export.jsonl", export_json_lines, Permission.EXPORT, "calls-jsonl"),
    Route("GET", r"/calls/records/{record:[0-9]{1,18}}", record, Permission.SEE_CALLS, "calls-record"),
    Route("GET", r"/calls/{decision:[A-Za-z0-9_.-]{1,40}}", call, Permission.SEE_CALLS, "calls-call"),
)
