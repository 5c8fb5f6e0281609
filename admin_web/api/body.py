"""Reading of requests: bounded in size and time, and validated against the operation's arguments."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import get_origin
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web
from pydantic import ValidationError
from pydantic_core import from_json

from admin_web.api.operation import AnyOperation, Arguments
from admin_web.api.problem import Problem
from compliance.http_body import UNREADABLE, UnreadableForm, next_part, why_no_part

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

MOST_BYTES = 2_000_000
"""Largest body of a request, in bytes. It is enough for a thousand leads with the longest names."""

MOST_FIELDS = 20
MOST_FORM_FIELDS = 2_000
"""Largest number of fields of a form: a list of 1,000 numbers, and room for others."""

_PLUS = re.compile(rb"((?:^|&)[^=&]*=)\+(?=[0-9])")
ARRIVES_S = 30.0
PIECE = 256 * 1024
PIECE_S = 20.0
MOST_ERRORS = 20
MOST_FAULTS = 5_000
"""Largest number of faults of a request that are described: five for each of a thousand leads."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file: its content as a stream of chunks, and the name and type given by its sender."""

    pieces: AsyncIterator[bytes]
    name: str
    media_type: str


async def read_json(request: web.Request, operation: AnyOperation) -> Arguments:
    """Read the JSON body of a write; a missing body counts as `{}`. Raises Problem.

    Operations that accept a form read the same arguments from it.
    """
    if request.can_read_body and operation.form and request.content_type == FORM:
        return _fitting_body(request, operation, _form_fields(await _whole_body(request), operation.asks))
    if request.can_read_body and request.content_type != JSON:
        raise Problem("unsupported-media-type", f"Send {JSON}{f' or {FORM}' if operation.form else ''}.")
    try:
        sent = from_json(await _whole_body(request) or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise Problem("bad-request", f"The body is not JSON: {error}.") from None
    if not isinstance(sent, dict):
        raise Problem("bad-request", "The body must be a JSON object.")
    return _fitting_body(request, operation, sent)


def _fitting_body(request: web.Request, operation: AnyOperation, sent: Mapping[str, object]) -> Arguments:
    if twice := sorted(sent.keys() & set(operation.in_path)):
        raise Problem("bad-request", f"The body repeats what is in the path already: {', '.join(twice)}.")
    return fitting(operation.asks, {**sent, **request.match_info})


def _form_fields(body: bytes, asks: type[Arguments]) -> dict[str, object]:
    """Parse a form. A field of a list may occur several times. Raises Problem.

    An empty field counts as missing, except in a required list, where it is an item that is no number.
    In a form, `+` means a space. But a number written with an unescaped `+` must not lose it, because the digits alone
    may be another number. So a `+` before the first digit of a field stands for itself.
    """
    written = _PLUS.sub(rb"\1%2B", body)
    try:
        found = parse_qsl(
            written.decode(), keep_blank_values=True, strict_parsing=bool(written), errors="strict",
            max_num_fields=MOST_FORM_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise Problem("bad-request", "The form cannot be read as UTF-8 in URL encoding.") from None
    fields = asks.model_fields
    lists = {name for name, field in fields.items() if get_origin(field.annotation) in {list, tuple}}
    whole = {name for name in lists if fields[name].is_required()}
    sent: dict[str, object] = {}
    for name, value in ((name, value) for name, value in found if value or name in whole):
        if name in lists:
            sent.setdefault(name, []).append(value)  # type: ignore[attr-defined]
        elif name in sent:
            raise Problem("bad-request", f"The form may contain the field {name} only once.")
        else:
            sent[name] = value
    return sent


def read_query(request: web.Request, operation: AnyOperation) -> Arguments:
    """Read the path and query of a GET. Raises Problem."""
    if twice := sorted(name for name in request.query if len(request.query.getall(name)) > 1):
        raise Problem("bad-request", f"The query may contain each parameter only once: {', '.join(twice)}.")
    return fitting(operation.asks, {**request.query, **request.match_info})


async def read_form(
    request: web.Request, operation: AnyOperation, keep: Callable[[Upload], Awaitable[None]]
) -> Arguments:
    """Read a multipart form. `keep` stores its document from the stream. Raises Problem, and what `keep` raises."""
    if request.content_type != MULTIPART:
        raise Problem("unsupported-media-type", f"Send {MULTIPART}.")
    fields: dict[str, str] = {}
    try:
        async for part in _parts(request):
            if why := why_no_part(part):
                raise Problem("unsupported-media-type", why)
            name = part.name or ""
            if name == operation.file:
                await keep(Upload(_pieces(part), part.filename or "", part.headers.get("Content-Type", "")))
            else:
                fields[name] = (await _whole_part(part)).decode("utf-8", "replace")
    except TimeoutError:
        raise Problem("request-timeout", "The upload stalled. Nothing was changed; send it again.") from None
    except UNREADABLE:
        raise Problem("bad-request", "The form cannot be read. Nothing was changed.") from None
    return fitting(operation.asks, {**fields, **request.match_info})


def fitting(model: type[Arguments], given: Mapping[str, object]) -> Arguments:
    """Validate a request against its operation's arguments. Raises Problem with a pointer to each invalid value."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        if error.error_count() > MOST_FAULTS:  # Describing them would take seconds, in which the site answers nobody.
            said = f"The request does not fit: it has {error.error_count():,} faults."
            raise Problem("bad-request", said) from None
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        told = [{"at": "".join(f"/{place}" for place in one["loc"]), "detail": one["msg"]} for one in wrong]
        first = f"{told[0]['at'] or 'the request'}: {told[0]['detail']}"
        raise Problem("bad-request", f"The request does not fit: {first}.", told[:MOST_ERRORS]) from None


async def _whole_body(request: web.Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(ARRIVES_S):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > MOST_BYTES:
                    raise Problem("too-large", f"The body is larger than {MOST_BYTES:,} bytes; send several requests.")
    except TimeoutError:
        raise Problem("request-timeout", f"The body did not arrive within {ARRIVES_S:.0f} seconds.") from None
    return bytes(body)


async def _parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    reader = await request.multipart()
    count = 0
    while (part := await next_part(reader, PIECE_S)) is not None:
        count += 1
        if count > MOST_FIELDS:
            raise UnreadableForm("not the form of this operation")
        yield part


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await asyncio.wait_for(part.read_chunk(PIECE), PIECE_S):
        yield piece


async def _whole_part(part: BodyPartReader) -> bytes:
    value = bytearray()
    async for piece in _pieces(part):
        value += piece
        if len(value) > MOST_BYTES // MOST_FIELDS:
            raise Problem("too-large", f"The field {part.name} is too long.")
    return bytes(value)
