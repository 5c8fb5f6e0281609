"""The bodies of requests: which encodings a server accepts, and what went wrong when one did not arrive."""

import asyncio
from collections.abc import Mapping

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

UTF_8 = {"utf-8", "utf8"}
AS_IT_IS = {"", "identity"}
PLAIN_TRANSFER = {"", "7bit", "8bit", "binary"}

UNREADABLE = (ValueError, HttpProcessingError, AssertionError, EOFError)
"""What aiohttp raises for a multipart body without boundaries, with an endless header line, or cut off."""


class UnreadableForm(ValueError):
    """A multipart body that is no form."""


async def next_part(reader: MultipartReader, within_s: float) -> BodyPartReader | None:
    """Return the next part of a form; None after the last one. Raises UnreadableForm, TimeoutError."""
    try:
        part = await asyncio.wait_for(reader.next(), within_s)
    except (*UNREADABLE, RuntimeError) as error:  # RuntimeError: the field `_charset_` is too long.
        raise UnreadableForm(str(error)) from error
    if part is not None and not isinstance(part, BodyPartReader):
        raise UnreadableForm("The form contains another form.")
    return part


def why_not_read(request: web.Request) -> str:
    """Return why the body of a request is not read, as a sentence; empty if it is in UTF-8 and not compressed."""
    return why_not_decoded(request.headers) if request.body_exists else ""


def why_no_part(part: BodyPartReader) -> str:
    """Return why a part of a form is not read, as a sentence; empty if it is a file, or a text in UTF-8."""
    # The charset of a file is part of the file, and its reader knows better.
    return why_not_decoded(part.headers, text=part.filename is None)


def why_not_decoded(headers: Mapping[str, str], *, text: bool = True) -> str:
    """Return why content with these headers is refused, as a sentence; empty if it is not.

    With `text`, the charset must be UTF-8.
    """
    encoding = _stripped(headers.get("Content-Encoding", ""))
    if encoding not in AS_IT_IS:
        return "Send the body as it is, without Content-Encoding."
    transfer = _stripped(headers.get("Content-Transfer-Encoding", ""))
    if transfer not in PLAIN_TRANSFER:
        return "Send the body as it is, without Content-Transfer-Encoding."
    charset = _charset(headers.get("Content-Type", ""))
    return "Send text in UTF-8." if text and charset and charset not in UTF_8 else ""


def _stripped(value: str) -> str:
    return value.strip().lower()


def _charset(content_type: str) -> str:
    """Return the charset of a content type, in lower case; empty if it names none, `?` if it names several.

    A value in the encoding of RFC 2231 (`charset*=`) counts as `?`.
    """
    parameters = [parameter.partition("=") for parameter in content_type.lower().split(";")[1:]]
    found = ["?" if "*" in name else value for name, _, value in parameters if _is_charset(name)]
    return "?" if len(found) > 1 else "".join(found).strip().strip("\"'")


def _is_charset(name: str) -> bool:
    return name.strip().partition("*")[0] == "charset"


def has_left(request: web.Request, error: Exception) -> bool:
    """Return whether a view failed only because its client has closed the connection."""
    return request.transport is None and isinstance(error, ConnectionError | web.RequestPayloadError)
