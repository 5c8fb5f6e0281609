"""A scrub over the API: a million numbers in one request, judged by the gate's rule, with a streamed response.

The request is spooled to disk before the response begins. Most programs send the whole request before they read any
response; streaming both at once would deadlock. Memory holds one window, however long the list is.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from io import BufferedReader
from typing import IO, Any, cast

from aiohttp import web

from admin_web.api.bearer import bearer_of, require_still_valid
from admin_web.api.operation import Stream
from admin_web.api.problem import Problem
from admin_web.api.quotas import quota_headers
from admin_web.api.tools import TOOLS
from admin_web.lists.scrub import Judged, distinct, judged
from admin_web.lists.scrub_input import ScrubRow, asked_of_json, asked_of_lines, asked_of_sheet
from admin_web.lists.sheet import Sheet
from admin_web.people.tokens import Scope
from compliance.numbers import InvalidNumber
from compliance.rule import openable
from compliance.terms import campaign_id
from compliance.verdict import Ruling

NDJSON = "application/x-ndjson"
TEXT, CSV = "text/plain", "text/csv"

MOST_BYTES = 128_000_000
"""Large enough for two million numbers with their leads as JSON."""

AT_ONCE = 2
PIECE = 256 * 1024
PIECE_S = 20.0
READER_S = 60.0
"""Seconds that the client may leave a part of the response unread: a database snapshot stays open for it."""

PLACES = web.AppKey("scrub_places", asyncio.Semaphore)


def places() -> asyncio.Semaphore:
    """Return a semaphore that limits the scrubs running at once in this process."""
    return asyncio.Semaphore(AT_ONCE)


async def scrub(request: web.Request) -> web.StreamResponse:
    """Judge a list. Raises Problem."""
    await bearer_of(request, Scope.SCRUB)
    if request.content_type not in {TEXT, CSV, NDJSON}:
        raise Problem("unsupported-media-type", f"Send {TEXT} (one number per line), {CSV} or {NDJSON}.")
    campaign = request.query.get("campaign")
    if campaign is not None and campaign_id(campaign) is None:
        raise Problem("bad-request", "A campaign has 1 to 64 letters, digits, dots, dashes and underscores.")
    async with _place(request), _spooled(request) as spool:
        await require_still_valid(request)
        tools = request.app[TOOLS]
        asked = _asked(spool, request.content_type, tools.settings.region)
        async with aclosing(judged(tools.database, asked, tools.now(), campaign=campaign or "")) as pieces:
            return await _answered(request, pieces)


async def _answered(request: web.Request, pieces: AsyncIterator[Judged]) -> web.StreamResponse:
    """Stream the judged rows. An error before the first row becomes a problem; a later one truncates the response."""
    answer = web.StreamResponse(headers={"Content-Type": NDJSON, **quota_headers(request)})
    async for piece in pieces:
        said = await asyncio.to_thread(_spelled, piece)
        if not answer.prepared:
            await answer.prepare(request)
        try:
            async with asyncio.timeout(READER_S):
                await answer.write(said)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            return answer
    if not answer.prepared:
        await answer.prepare(request)
    await answer.write_eof()
    return answer


@asynccontextmanager
async def _place(request: web.Request) -> AsyncIterator[None]:
    held = request.app[PLACES]
    if held.locked():
        said = f"{AT_ONCE} lists are being judged already. Send the request again in a moment."
        raise Problem("too-many-requests", said, headers={"Retry-After": "5"})
    async with held:
        yield


@asynccontextmanager
async def _spooled(request: web.Request) -> AsyncIterator[IO[bytes]]:
    """Spool the request's body to an unnamed file, and yield the file at its start. Raises Problem."""
    with tempfile.TemporaryFile() as spool:
        size, pieces = 0, request.content.iter_chunked(PIECE)
        while True:
            try:
                piece = await asyncio.wait_for(anext(pieces, b""), PIECE_S)
            except TimeoutError:
                raise Problem("request-timeout", "The upload stalled. Send the list again.") from None
            if not piece:
                break
            size += len(piece)
            if size > MOST_BYTES:
                raise Problem("too-large", f"The list is larger than {MOST_BYTES:,} bytes; send it in parts.")
            await asyncio.to_thread(spool.write, piece)
        spool.seek(0)
        yield spool


def _asked(spool: IO[bytes], content_type: str, region: str) -> Iterator[ScrubRow]:
    if content_type == CSV:
        with Sheet(cast("BufferedReader", spool), "the list") as sheet:
            yield from asked_of_sheet(sheet, region)
        return
    yield from asked_of_json(spool, region) if content_type == NDJSON else asked_of_lines(spool, region)


def _spelled(piece: Judged) -> bytes:
    """Format rows as JSON lines, by hand for speed: numbers, lead ids and slugs need no escaping."""
    said = {id(ruling): _of_ruling(ruling) for ruling in distinct(piece.rulings)}
    lines = []
    for line, number, lead, ruling in zip(piece.lines, piece.numbers, piece.leads, piece.rulings, strict=True):
        e164 = "null" if isinstance(number, InvalidNumber) else f'"{number}"'
        whose = f'"{lead}"' if lead else "null"
        lines.append(f'{{"line":{line},"number":{e164},"lead":{whose},{said[id(ruling)]}')
    return "".join(lines).encode()


def _of_ruling(ruling: Ruling) -> str:
    opens = "true" if openable(ruling) else "false"
    return (
        f'"verdict":"{ruling.verdict}","reason":"{ruling.reason}",'
        f'"detail":"{ruling.detail}","override":"{ruling.override}","openable":{opens}}}\n'
    )


_LINE: dict[str, Any] = {
    "type": "object",
    "description": "The verdict on one line of the list.",
    "required": ["line", "number", "lead", "verdict", "reason", "detail", "override", "openable"],
    "properties": {
        "line": {"type": "integer", "description": "The number of the line, counted from 1."},
        "number": {"type": ["string", "null"], "description": "E.164; null when the line contains no valid number."},
        "lead": {"type": ["string", "null"]},
        "verdict": {"enum": ["ALLOW", "BLOCK"]},
        "reason": {"type": "string"},
        "detail": {"type": "string"},
        "override": {"type": "string"},
        "openable": {"type": "boolean", "description": "An override opens this block."},
    },
}

SCRUB = Stream(
    name="scrub",
    method="POST",
    path="/scrub",
    scope=Scope.SCRUB,
    does="Judge a list of numbers, a million in one request, by the gate's rule, as of one moment.",
    view=scrub,
    refuses=("request-timeout", "too-large", "unsupported-media-type", "not-a-sheet"),
    document={
        "parameters": [
            {
                "name": "campaign",
                "in": "query",
                "required": False,
                "description": "The campaign of the calls. The detail of an allowed line names the other campaigns for "
                "which a campaign list blocks the number: `blocked-for spring-26`.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"},
            }
        ],
        "requestBody": {
            "required": True,
            "description": "The list: one number per line; CSV with a column of numbers and, optionally, a column "
            "named lead; or one JSON object per line.",
            "content": {
                TEXT: {"example": "+14155550100\n(415) 555-0199\n"},
                CSV: {"example": "number,lead\n+14155550100,crm-4711\n"},
                NDJSON: {"schema": {"type": "string", "description": 'Lines such as {"number": "…", "lead": "…"}.'}},
            },
        },
        "responses": {
            "200": {
                "description": "One JSON object per line, in the order of the list; blank lines are skipped.",
                "content": {NDJSON: {"schema": {"type": "string"}, "x-line": _LINE}},
            }
        },
    },
)
