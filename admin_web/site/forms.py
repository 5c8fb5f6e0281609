"""Submitted forms: text fields of bounded length, their errors, and an uploaded file read as a stream."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeVar

from aiohttp import BodyPartReader, MultipartReader, web
from multidict import MultiDict, MultiMapping

from admin_web.site.guard import CSRF_FIELD, MULTIPART, require_csrf, require_still_allowed
from compliance import dates
from compliance.http_body import UNREADABLE, next_part, why_no_part

LONGEST_FIELD = 4000
LONGEST_FIELDS = 64 * 1024
MOST_FIELDS = 50
PIECE = 256 * 1024
PIECE_S = 20.0
"""Seconds to wait for the next chunk of an upload. A stalled browser must not hold its connection for ever."""

CHECK_S = 60.0
"""Seconds between two checks of the sender's right during an upload."""

Got = TypeVar("Got")


@dataclass
class Form:
    """The submitted values, kept so that the form can be shown again, and the errors by field name."""

    values: Mapping[str, str]
    errors: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return a value, trimmed; empty when the field is missing."""
        return self.values.get(name, "").strip()

    def required(self, name: str, sentence: str) -> str:
        """Return a value. Record `sentence` as its error when it is empty."""
        value = self.text(name)
        if not value:
            self.errors[name] = sentence
        return value

    def all(self, name: str) -> list[str]:
        """Return every value of a field that occurs several times, trimmed."""
        if isinstance(self.values, MultiMapping):
            return [str(value).strip() for value in self.values.getall(name, [])]
        return [self.text(name)] if name in self.values else []

    def ticked(self, name: str) -> bool:
        """Return whether a checkbox is ticked."""
        return self.text(name) != ""

    def day(self, name: str, sentence: str) -> date | None:
        """Return a day. Record `sentence` as the error, and return None, for anything else."""
        on = day_in(self.text(name))
        if on is None:
            self.errors[name] = sentence
        return on


EMPTY = Form({})


def day_in(text: str) -> date | None:
    """Read a day: `2026-11-23`, as browsers send it, or `23 Nov 2026`, as pages show it. None for anything else."""
    shown = dates.read(text)
    if shown is not None:
        return None if isinstance(shown, datetime) else shown
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


async def read_form(request: web.Request) -> Form:
    """Read a form without a file. The guard has already checked its CSRF token."""
    sent = await request.post()
    return Form(MultiDict((name, _text(str(value))) for name, value in sent.items()))


@dataclass
class UploadForm:
    """A form with a file: the fields, which come first, and the file, read as a stream."""

    form: Form
    file_name: str
    media_type: str
    _part: BodyPartReader | None
    _reader: MultipartReader | None = None
    _request: web.Request | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the file's content in chunks. Raises HTTPRequestTimeout if it stalls, HTTPBadRequest if truncated.

        Raises HTTPException as soon as the sender may not do this any more. Each check also counts as a use of the
        session, which would otherwise end as idle during an upload of hours.
        """
        if self._part is None or self._reader is None or self._request is None:
            return
        checked = time.monotonic()
        while piece := await _in_time(self._part.read_chunk(PIECE)):
            if time.monotonic() - checked >= CHECK_S:
                await require_still_allowed(self._request)
                checked = time.monotonic()
            yield piece
        await _in_time(self._reader.next())  # A file is complete only if the multipart boundary after it has arrived.
        await require_still_allowed(self._request)


async def read_upload(request: web.Request) -> UploadForm:
    """Read the fields of a form up to its file, and check the CSRF token.

    The token is the first field, so nothing of a forged form is stored. Without a file, `file_name` is empty, and the
    sender's right has been checked again.
    """
    if request.content_type != MULTIPART:
        raise web.HTTPUnsupportedMediaType(text="Send this form as multipart/form-data, as a browser does.")
    fields: MultiDict[str] = MultiDict()
    try:
        reader = await request.multipart()
        while (part := await next_part(reader, PIECE_S)) is not None:
            if not fields and part.name != CSRF_FIELD:
                break
            if why := why_no_part(part):
                raise web.HTTPUnsupportedMediaType(text=f"{why} Nothing was changed.")
            if part.filename is not None:
                require_csrf(request, fields.get(CSRF_FIELD, ""))
                name = part.filename[:LONGEST_FIELD]
                media_type = part.headers.get("Content-Type", "application/octet-stream")
                return UploadForm(Form(fields), name, media_type, part, reader, request)
            await _take_field(fields, part)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=_STALLED) from None
    except UNREADABLE as error:
        raise web.HTTPBadRequest(text="The form cannot be read. Nothing was changed; send it again.") from error
    require_csrf(request, fields.get(CSRF_FIELD, ""))
    await require_still_allowed(request)
    return UploadForm(Form(fields), "", "", None)


_STALLED = "The upload stalled. Nothing was changed; try again on a better connection."


def _text(value: str) -> str:
    """Limit the length of a value, and replace NUL, which PostgreSQL cannot store in text."""
    return value.replace("\0", "\ufffd")[:LONGEST_FIELD]


async def _take_field(fields: MultiDict[str], part: BodyPartReader) -> None:
    value = b""
    while piece := await _in_time(part.read_chunk(PIECE)):
        value += piece
        if len(value) > LONGEST_FIELDS:
            raise web.HTTPRequestEntityTooLarge(LONGEST_FIELDS, len(value), text="The form is too large.")
    if len(fields) >= MOST_FIELDS:  # An empty field needs memory too.
        raise web.HTTPRequestEntityTooLarge(MOST_FIELDS, len(fields) + 1, text="The form has too many fields.")
    fields.add(part.name or "", _text(value.decode("utf-8", "replace")))


async def _in_time(step: Coroutine[None, None, Got]) -> Got:
    """Await one step of reading a body, with a time limit. Raises HTTPRequestTimeout, HTTPBadRequest."""
    try:
        return await asyncio.wait_for(step, PIECE_S)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=_STALLED) from None
    except UNREADABLE:
        raise web.HTTPBadRequest(text="The upload was cut short. Nothing was changed; send it again.") from None
