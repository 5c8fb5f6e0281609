"""The bodies of requests: which encodings a server accepts, and what went wrong when one did not arrive."""

from collections.abc import Mapping

from aiohttp import BodyPartReader, web
from multidict import CIMultiDict

UTF_8 = {"utf-8", "utf8"}
AS_IT_IS = {"", "identity"}
PLAIN_TRANSFER = {"", "7bit", "8bit", "binary"}


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
    """Return the charset of a content type, in lower case; empty if it names none, `?` if it names several."""
    parameters = [parameter.partition("=") for parameter in content_type.split(";")[1:]]
    found = CIMultiDict((name.strip(), value) for name, _, value in parameters).getall("charset", [])
    return "?" if len(found) > 1 else "".join(found).strip().strip("\"'").lower()


def has_left(request: web.Request, error: Exception) -> bool:
    """Return whether a view failed only because its client has closed the connection."""
    return request.transport is None and isinstance(error, ConnectionError | web.RequestPayloadError)
