"""Exports as streamed CSV or JSON lines. No cell can run as a formula in a spreadsheet."""

import csv
import io
import json
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import Any, TypeVar

from aiohttp import web

from admin_web.lists.spreadsheet import defused
from admin_web.site.clock import exported, zone_of
from admin_web.site.guard import actor
from admin_web.site.keys import SECURITY
from admin_web.site.routing import route_of

ROWS = 500
"""Rows per write, so that memory use does not depend on the length of the export."""

LONGEST_FILTER = 1000

Row = TypeVar("Row")


def cell(value: object, zone: tzinfo) -> str:
    """Return the text of one cell: moments with the offset of `zone`, no value as empty text, formulas defused."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return exported(value, zone)
    if isinstance(value, date):
        return value.isoformat()
    return defused(str(value))


async def stream_csv(
    request: web.Request, file_name: str, columns: Sequence[str], rows: AsyncIterable[Sequence[object]]
) -> web.StreamResponse:
    """Send a CSV file (RFC 4180, UTF-8), each row as it arrives. Moments are in the zone of the person."""
    head, zone = _csv_lines([columns]), zone_of(request)

    def lines(some: Iterable[Sequence[object]]) -> str:
        return _csv_lines([[cell(value, zone) for value in row] for row in some])

    return await _stream(request, file_name, "text/csv; charset=utf-8", head, rows, lines)


async def stream_json_lines(
    request: web.Request, file_name: str, rows: AsyncIterable[Mapping[str, Any]]
) -> web.StreamResponse:
    """Send one JSON object per line, each row as it arrives. Moments are in the zone of the person."""
    zone = zone_of(request)

    def spelled(value: object) -> str:
        return cell(value, zone)

    def lines(some: Iterable[Mapping[str, Any]]) -> str:
        return "".join(json.dumps(row, ensure_ascii=False, default=spelled) + "\n" for row in some)

    return await _stream(request, file_name, "application/x-ndjson", "", rows, lines)


async def _stream(
    request: web.Request,
    file_name: str,
    media_type: str,
    head: str,
    rows: AsyncIterable[Row],
    lines: Callable[[Iterable[Row]], str],
) -> web.StreamResponse:
    answer, sent = web.StreamResponse(), 0
    answer.headers["Content-Type"] = media_type
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    await answer.prepare(request)
    whole = False
    try:
        await answer.write(head.encode())
        some: list[Row] = []
        async for row in rows:
            some.append(row)
            sent += 1
            if len(some) == ROWS:
                await answer.write(lines(some).encode())
                some.clear()
        await answer.write(lines(some).encode())
        whole = True
    finally:
        await _note(request, sent, whole=whole)
    await answer.write_eof()
    return answer


async def _note(request: web.Request, rows: int, *, whole: bool) -> None:
    """Record who exported what: the filter, the number of rows, and whether the browser got all of them."""
    route = route_of(request)
    asked = " ".join(f"{name}={value}" for name, value in request.query.items() if value)[:LONGEST_FILTER]
    name, complete, who = route.name if route else "", "yes" if whole else "no", actor(request)
    record = request.app[SECURITY]
    await record.audit_always("export", "export", name, who, filter=asked, rows=rows, complete=complete)


def _csv_lines(rows: Iterable[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
